using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Actors.Stages;

/// <summary>What a host's decisions do. A stage is an actor, or whatever a test takes for one.</summary>
/// <typeparam name="TStage">A stage.</typeparam>
internal interface IStageOwner<TStage>
    where TStage : class
{
    /// <summary>Starts a stage that loads its slice and stands by.</summary>
    TStage Start(StageMessages.PrepareStage assignment);

    /// <summary>The stage, which has the slice already, stands by for a newer epoch.</summary>
    void Advance(TStage stage, StageMessages.PrepareStage assignment);

    /// <summary>Ends a stage; <see cref="HostedStages{TStage}.Stopped"/> is called when its memory is free.</summary>
    void Stop(TStage stage);

    /// <summary>Tells the stage to begin an epoch.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="connect">The command.</param>
    /// <param name="next">The next stage, if this host has it.</param>
    void Connect(TStage stage, StageMessages.ConnectStage connect, TStage? next);

    /// <summary>Answers the replica.</summary>
    void Answer(StageMessages.PrepareStage assignment, IReplicaMessage message);
}

/// <summary>
/// Which stages a host has, and what becomes of them when replicas prepare, connect and retire. A device may have several stages at
/// a time, as far as its memory goes: the next one loads while the present one serves. Pure: no actors, no clock.
/// </summary>
/// <typeparam name="TStage">A stage.</typeparam>
internal sealed class HostedStages<TStage>(IStageOwner<TStage> owner, Func<int, long?> memoryOf, Func<StageMessages.PrepareStage, long> bytesOf)
    where TStage : class
{
    private readonly List<Hosted> _stages = [];
    private readonly Dictionary<string, long> _promised = []; // by replica: no older epoch is taken
    private readonly List<StageMessages.PrepareStage> _waiting = []; // for memory

    /// <summary>Stages that are there or stopping.</summary>
    public int Count => _stages.Count;

    /// <summary>Commands of epochs that were over.</summary>
    public long Refused { get; private set; }

    /// <summary>What its devices hold: device, slice and epoch of each stage.</summary>
    public IEnumerable<(int Device, SliceRange Slice, long Epoch)> Held => _stages.Select(stage => (stage.Assignment.DeviceIndex, stage.Assignment.Slice, stage.Assignment.Epoch));

    /// <summary>A replica wants a slice.</summary>
    public void Prepare(StageMessages.PrepareStage prepare)
    {
        if (prepare.Epoch < _promised.GetValueOrDefault(prepare.ReplicaId))
        {
            Refused++;
            return;
        }

        _promised[prepare.ReplicaId] = prepare.Epoch;
        _waiting.RemoveAll(waiting => waiting.ReplicaId == prepare.ReplicaId && waiting.Epoch < prepare.Epoch);
        if (_waiting.Any(waiting => IsSameStage(waiting, prepare)))
            return; // a repetition
        if (_stages.FirstOrDefault(stage => IsSameStage(stage.Assignment, prepare)) is { } known)
        {
            if (!known.IsStopping)
                owner.Advance(known.Stage, prepare); // a repetition, since the answer may have been lost
            return;
        }

        if (memoryOf(prepare.DeviceIndex) is null)
        {
            owner.Answer(prepare, new StageMessages.StageFailed(
                prepare.ReplicaId, prepare.Epoch, prepare.Stage, $"its node has no device {prepare.DeviceIndex}"));
            return;
        }

        Hosted? same = _stages.FirstOrDefault(stage => !stage.IsStopping && stage.Assignment.Epoch < prepare.Epoch && HasSameSlice(stage.Assignment, prepare));
        if (same is not null)
        {
            same.Assignment = prepare;
            owner.Advance(same.Stage, prepare);
            return;
        }

        _waiting.Add(prepare);
        StartWaiting();
    }

    /// <summary>A replica begins an epoch.</summary>
    public void Connect(StageMessages.ConnectStage connect, bool nextIsHere)
    {
        if (Find(connect.ReplicaId, connect.Epoch, connect.Stage) is { } stage)
            owner.Connect(stage, connect, nextIsHere && connect.NextStage >= 0 ? Find(connect.ReplicaId, connect.Epoch, connect.NextStage) : null);
        else
            Refused++;
    }

    /// <summary>Stages of epochs up to this one are not wanted any more.</summary>
    public void Retire(StageMessages.RetireStages retire)
    {
        foreach (Hosted stage in _stages.Where(stage => IsOld(stage, retire.ReplicaId, retire.Epoch)).ToList())
            Stop(stage);
        _waiting.RemoveAll(waiting => waiting.ReplicaId == retire.ReplicaId && waiting.Epoch <= retire.Epoch);
    }

    /// <summary>A stage has ended and its memory is free.</summary>
    public void Stopped(TStage stage)
    {
        if (_stages.FirstOrDefault(hosted => hosted.Stage == stage) is not { } ended)
            return;
        _stages.Remove(ended);
        if (!ended.IsStopping)
        {
            StageMessages.PrepareStage lost = ended.Assignment;
            owner.Answer(lost, new StageMessages.StageFailed(
                lost.ReplicaId, lost.Epoch, lost.Stage, "the stage stopped unexpectedly; its node's log says why"));
        }

        StartWaiting();
    }

    /// <summary>The stage of an epoch; null when this host has none.</summary>
    public TStage? Find(string replica, long epoch, int stage) => _stages.FirstOrDefault(hosted => !hosted.IsStopping
        && hosted.Assignment.ReplicaId == replica && hosted.Assignment.Epoch == epoch && hosted.Assignment.Stage == stage)?.Stage;

    /// <summary>The replica that a stage works for.</summary>
    public Akka.Actor.IActorRef? ReplicaOf(TStage stage) => _stages.FirstOrDefault(hosted => hosted.Stage == stage)?.Assignment.Replica;

    private static bool IsSameStage(StageMessages.PrepareStage a, StageMessages.PrepareStage b) =>
        (a.ReplicaId, a.Epoch, a.Stage) == (b.ReplicaId, b.Epoch, b.Stage);

    private static bool HasSameSlice(StageMessages.PrepareStage a, StageMessages.PrepareStage b) =>
        (a.ReplicaId, a.DeviceIndex, a.Slice, a.Limits) == (b.ReplicaId, b.DeviceIndex, b.Slice, b.Limits);

    private static bool IsOld(Hosted stage, string replica, long epoch) =>
        !stage.IsStopping && stage.Assignment.ReplicaId == replica && stage.Assignment.Epoch <= epoch;

    // Where memory does not hold both, the old stage of the same device gives way to the new one.
    private void StartWaiting()
    {
        foreach (StageMessages.PrepareStage next in _waiting.ToList())
        {
            List<Hosted> present = [.. _stages.Where(stage => stage.Assignment.DeviceIndex == next.DeviceIndex)];
            long free = memoryOf(next.DeviceIndex)!.Value - present.Sum(stage => bytesOf(stage.Assignment));
            if (present.Count == 0 || free >= bytesOf(next))
            {
                _waiting.Remove(next);
                _stages.Add(new Hosted(owner.Start(next)) { Assignment = next });
                continue;
            }

            foreach (Hosted old in present.Where(stage => IsOld(stage, stage.Assignment.ReplicaId, Math.Max(next.Epoch, _promised[stage.Assignment.ReplicaId]) - 1)))
                Stop(old);
        }
    }

    private void Stop(Hosted stage)
    {
        stage.IsStopping = true;
        owner.Stop(stage.Stage);
    }

    private sealed class Hosted(TStage stage)
    {
        public TStage Stage { get; } = stage;

        public required StageMessages.PrepareStage Assignment { get; set; }

        public bool IsStopping { get; set; }
    }
}
