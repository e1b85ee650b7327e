using Akka.Actor;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Replicas;
using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>A replica as <see cref="ReplicaActor"/> is one, with the production's <see cref="ReplicaPipeline"/> and <see cref="BatchScheduler"/>.</summary>
internal sealed class SimulatedReplica : IPipelineOutput, ISchedulerListener
{
    private readonly SimulatedCluster _cluster;
    private readonly HashSet<long> _listening = [];
    private SimulatedLink? _entry;
    private bool _dead;

    public SimulatedReplica(SimulatedCluster cluster, string id, ReplicaSettings settings)
    {
        _cluster = cluster;
        Scheduler = new BatchScheduler(new SchedulerOptions(settings.MaxRows, settings.MaxSequences, 1000, settings.ContextLength));
        Pipeline = new ReplicaPipeline(id, "gateway:1", "127.0.0.1", 1, ActorRefs.Nobody, Scheduler, this);
    }

    public BatchScheduler Scheduler { get; }

    public ReplicaPipeline Pipeline { get; }

    public bool Listens(long epoch) => !_dead && _listening.Contains(epoch);

    public void Die()
    {
        Pipeline.Stop();
        _dead = true;
    }

    public void Receive(IReplicaMessage message)
    {
        if (_dead)
            return;
        switch (message)
        {
            case PlacementMessages.AssignPlan plan:
                Pipeline.Assign(plan);
                break;
            case StageMessages.StagePrepared prepared:
                Pipeline.Prepared(prepared);
                break;
            case StageMessages.StageConnected connected:
                Pipeline.Connected(connected);
                break;
            case StageMessages.StageFailed failed:
                Pipeline.Failed(failed);
                break;
        }

        if (Pipeline.IsDraining)
        {
            long epoch = Pipeline.Next!.Epoch;
            _cluster.World.After(TimeSpan.FromSeconds(2), () => Pipeline.StopDraining(epoch));
        }

        Pump();
    }

    public void Receive(SampledTokens result)
    {
        if (_dead)
            return;
        if (!Pipeline.Complete(result, this))
            _cluster.StaleFrames++;
        Pump();
    }

    public void LinkBroke(long epoch, string reason)
    {
        if (_dead)
            return;
        Pipeline.Break(epoch, reason);
    }

    public void Submit(Sequence sequence)
    {
        if (Scheduler.IsWhole(sequence))
        {
            Finish(sequence);
            return;
        }

        Scheduler.Submit(sequence);
        Pump();
    }

    void ISchedulerListener.OnToken(Sequence sequence, float logProb, ReadOnlySpan<TokenLogProb> top) =>
        _cluster.Generations.Token(sequence.Id, sequence.GeneratedCount - 1, sequence.Tokens[^1]);

    void ISchedulerListener.OnFinished(Sequence sequence, FinishReason reason) => Finish(sequence);

    void IPipelineOutput.ToHost(string node, IClusterMessage message) => _cluster.ToHost(node, message);

    void IPipelineOutput.ToPlacement(IClusterMessage message) => _cluster.FromReplica(message);

    void IPipelineOutput.Listen(long epoch) => _listening.Add(epoch);

    void IPipelineOutput.StopListening(long epoch) => _listening.Remove(epoch);

    void IPipelineOutput.Enter(long epoch, PlacementMessages.StageAssignment first) => _entry = _cluster.Enter(epoch, first, () =>
    {
        if (_dead)
            return;
        Pipeline.Entered(epoch);
        Pump();
    }, reason => LinkBroke(epoch, reason));

    void IPipelineOutput.Leave()
    {
        _entry?.Close("the epoch is over");
        _entry = null;
    }

    void IPipelineOutput.OnActive(PlacementMessages.AssignPlan plan, IReadOnlyList<Sequence> misfits)
    {
        _cluster.World.Note($"epoch {plan.Epoch} serves");
        foreach (Sequence misfit in misfits)
            _cluster.Generations.Refused(misfit.Id);
    }

    void IPipelineOutput.OnInactive(string reason, IReadOnlyList<Sequence> givenUp)
    {
        _cluster.World.Note($"no epoch serves: {reason}");
        foreach (Sequence sequence in givenUp)
            _cluster.Generations.Refused(sequence.Id);
    }

    // That an answer has ended may be lost with the replica, when its last token was not.
    private void Finish(Sequence sequence) => _cluster.World.Soon(0, 50, () =>
    {
        if (!_dead)
            _cluster.Generations.Finished(sequence.Id, sequence.GeneratedCount);
    });

    private void Pump()
    {
        for (var step = new Step(); Pipeline.TrySchedule(step); step = new Step())
        {
            if (Scheduler.StepsInFlight > Scheduler.MaxStepsInFlight || Scheduler.StepsInFlight < 1)
                throw new InvalidOperationException($"{Scheduler.StepsInFlight} steps are under way");
            _entry!.Send(step, null);
        }
    }
}
