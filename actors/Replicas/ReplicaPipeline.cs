using Akka.Actor;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Actors.Replicas;

/// <summary>What the decisions of a <see cref="ReplicaPipeline"/> do.</summary>
internal interface IPipelineOutput
{
    /// <summary>Sends a command to the stage host of a node.</summary>
    void ToHost(string node, IClusterMessage message);

    /// <summary>Sends a report to placement.</summary>
    void ToPlacement(IClusterMessage message);

    /// <summary>From now on, the replica takes a link from the last stage of an epoch.</summary>
    void Listen(long epoch);

    /// <summary>The epoch's link is closed, and none is taken any more.</summary>
    void StopListening(long epoch);

    /// <summary>Opens the way to the first stage; <see cref="ReplicaPipeline.Entered"/> follows.</summary>
    void Enter(long epoch, PlacementMessages.StageAssignment first);

    /// <summary>Closes the way to the first stage.</summary>
    void Leave();

    /// <summary>An epoch serves from now on.</summary>
    void OnActive(PlacementMessages.AssignPlan plan, IReadOnlyList<Sequence> misfits);

    /// <summary>No epoch serves any more.</summary>
    /// <param name="reason">Why.</param>
    /// <param name="givenUp">Sequences that broke their stages again and again: the scheduler has forgotten them.</param>
    void OnInactive(string reason, IReadOnlyList<Sequence> givenUp);
}

/// <summary>
/// The epochs of a replica's pipeline: the one that serves, and the one that is being built while it does. The new one takes over
/// once all of its stages are loaded and no step is under way, or at once when the old one breaks. Pure: no actors, no clock.
/// </summary>
/// <remarks>
/// Prepare (stages load and stand by) -> Connect (stages begin the epoch) -> Active. Only the last step ends what served before.
/// Everything of an epoch that is over is refused.
/// </remarks>
internal sealed class ReplicaPipeline(
    string id, string ownNode, string ownHost, int ownPort, IActorRef self, BatchScheduler scheduler, IPipelineOutput output)
{
    private const int MostIdleRepeats = 10;

    private readonly Dictionary<string, long> _nodes = []; // that may hold stages of ours, and the newest epoch there
    private PipelineState? _current;
    private PipelineState? _next;
    private PlacementMessages.ReplicaBroken? _broken; // the last report, until a plan answers it
    private int _idleRepeats;
    private long _newest;

    /// <summary>Whether steps flow.</summary>
    public bool IsActive => _current is not null;

    /// <summary>Whether the next epoch waits for the steps under way.</summary>
    public bool IsDraining => _current is not null && _next is { IsConnecting: false, AllPrepared: true };

    /// <summary>The epoch that serves, or else the one that is built; null when there is no plan.</summary>
    public PipelineState? Shown => _current ?? _next;

    /// <summary>The epoch that is built; null when none is.</summary>
    public PipelineState? Next => _next;

    /// <summary>The epoch that serves; null when none does.</summary>
    public PipelineState? Current => _current;

    /// <summary>Why there is no pipeline.</summary>
    public string Problem { get; private set; } = "no plan has arrived yet";

    /// <summary>Whether the last plan has no stages, that is, the model does not fit.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>Messages and frames of epochs that were over.</summary>
    public long Refused { get; private set; }

    /// <summary>Builds a newer plan.</summary>
    /// <returns>Whether it is newer.</returns>
    public bool Assign(PlacementMessages.AssignPlan plan)
    {
        if (plan.Epoch <= _newest)
            return false;
        if (plan.IsRepeated && plan.Stages.Length > 0)
        {
            // Another life of this replica may have begun that epoch.
            output.ToPlacement(new PlacementMessages.ReplicaStarted(id));
            return false;
        }

        _newest = plan.Epoch;
        _broken = null;
        Abandon();
        IsRefused = plan.Stages.Length == 0;
        if (IsRefused)
        {
            Problem = plan.Reason;
            EndCurrent(plan.Reason, isLoss: false);
            return true;
        }

        if (_current is null)
            Problem = "the pipeline is loading";
        _next = new PipelineState(plan);
        _idleRepeats = 0;
        for (int i = 0; i < plan.Stages.Length; i++)
        {
            _nodes[plan.Stages[i].Node] = plan.Epoch;
            TellPrepare(i);
        }

        if (plan.IsUrgent)
            EndCurrent(plan.Reason, isLoss: true);
        return true;
    }

    /// <summary>A stage's weights load.</summary>
    public void Loading(StageMessages.StageLoading loading)
    {
        if (IsNext(loading.Epoch, loading.Stage))
            _next!.Loading(loading.Stage, loading.Fraction);
    }

    /// <summary>A stage stands by.</summary>
    public void Prepared(StageMessages.StagePrepared prepared)
    {
        if (!IsNext(prepared.Epoch, prepared.Stage))
        {
            Refused++;
            return;
        }

        _next!.Prepared(prepared.Stage);
        ConnectWhenReady();
    }

    /// <summary>A stage's way onward is up.</summary>
    public void Connected(StageMessages.StageConnected connected)
    {
        if (!IsNext(connected.Epoch, connected.Stage) || !_next!.IsConnecting)
        {
            Refused++;
            return;
        }

        _next.Connected(connected.Stage);
        ActivateWhenConnected();
    }

    /// <summary>The way to the first stage is up.</summary>
    public void Entered(long epoch)
    {
        if (_next is not { IsConnecting: true } || _next.Epoch != epoch)
            return;
        _next.EntryConnected = true;
        ActivateWhenConnected();
    }

    /// <summary>A stage cannot go on.</summary>
    public void Failed(StageMessages.StageFailed failed)
    {
        if (failed.Epoch == _current?.Epoch || failed.Epoch == _next?.Epoch)
            Break(failed.Epoch, $"stage {failed.Stage}: {failed.Reason}");
        else
            Refused++;
    }

    /// <summary>An epoch is over: a stage or a link of it was lost.</summary>
    public void Break(long epoch, string reason)
    {
        if (epoch == _next?.Epoch)
        {
            bool wasConnecting = _next.IsConnecting;
            Abandon();
            if (_current is null)
                Problem = reason;
            if (wasConnecting)
                output.OnInactive(reason, []);
            Report(new PlacementMessages.ReplicaBroken(id, epoch, Served: false, reason));
        }
        else if (epoch == _current?.Epoch)
        {
            EndCurrent(reason, isLoss: true);
            Report(new PlacementMessages.ReplicaBroken(id, epoch, Served: true, reason));
            ConnectWhenReady();
        }
    }

    /// <summary>Fills the next step, if one may be sent.</summary>
    public bool TrySchedule(Step step)
    {
        if (_current is null || IsDraining || !scheduler.TrySchedule(step))
            return false;
        step.Epoch = _current.Epoch;
        return true;
    }

    /// <summary>Takes the result of a step.</summary>
    /// <returns>Whether it is of the epoch that serves.</returns>
    public bool Complete(SampledTokens result, ISchedulerListener listener)
    {
        if (result.Epoch != _current?.Epoch)
        {
            Refused++;
            return false;
        }

        if (result.Step != scheduler.OldestStepInFlight)
        {
            Break(_current.Epoch, $"the result of step {result.Step} came where that of step {scheduler.OldestStepInFlight} was due");
            return false;
        }

        scheduler.Complete(result, listener);
        ConnectWhenReady();
        return true;
    }

    /// <summary>The steps under way have taken too long: the next epoch does not wait for them any more.</summary>
    public void StopDraining(long epoch)
    {
        if (IsDraining && _next!.Epoch == epoch)
        {
            EndCurrent("a newer plan waits", isLoss: false);
            ConnectWhenReady();
        }
    }

    /// <summary>
    /// Says again what nobody has answered, in case it was lost; a build that does not move for long is given up. To be called every
    /// second.
    /// </summary>
    public void Repeat()
    {
        if (_next is null)
        {
            if (_current is null && _broken is not null)
                output.ToPlacement(_broken);
            return;
        }

        _idleRepeats = _next.HasMoved() ? 0 : _idleRepeats + 1;
        if (_idleRepeats >= MostIdleRepeats && !IsDraining)
        {
            string[] silent = [.. _next.Plan.Stages.Where((_, i) => _next.Owes(i)).Select(stage => stage.Node).Distinct()];
            Break(_next.Epoch, $"nothing was heard for {MostIdleRepeats} s of {string.Join(", ", silent)}");
            return;
        }

        for (int i = 0; i < _next.Plan.Stages.Length; i++)
        {
            if (!_next.Owes(i))
                continue;
            if (_next.IsConnecting)
                TellConnect(i);
            else
                TellPrepare(i);
        }
    }

    /// <summary>The replica ends here.</summary>
    public void Stop()
    {
        Abandon();
        EndCurrent("the replica stopped", isLoss: false);
    }

    private bool IsNext(long epoch, int stage) => epoch == _next?.Epoch && (uint)stage < (uint)_next.Plan.Stages.Length;

    // The old epoch serves until all of the new one's stages stand by and no step is under way.
    private void ConnectWhenReady()
    {
        if (_next is not { AllPrepared: true, IsConnecting: false } || (_current is not null && scheduler.StepsInFlight > 0))
            return;
        EndCurrent("a newer plan takes over", isLoss: false);
        _next.IsConnecting = true;
        output.Listen(_next.Epoch);
        for (int i = 0; i < _next.Plan.Stages.Length; i++)
            TellConnect(i);
        output.Enter(_next.Epoch, _next.Plan.Stages[0]);
    }

    private void TellPrepare(int stage)
    {
        PlacementMessages.AssignPlan plan = _next!.Plan;
        output.ToHost(plan.Stages[stage].Node, new StageMessages.PrepareStage(
            id, plan.Epoch, stage, plan.Stages[stage].DeviceIndex, plan.Stages[stage].Slice, plan.Limits, self));
    }

    private void TellConnect(int stage)
    {
        PlacementMessages.StageAssignment[] stages = _next!.Plan.Stages;
        bool last = stage == stages.Length - 1;
        (string node, string host, int port) = last
            ? (ownNode, ownHost, ownPort)
            : (stages[stage + 1].Node, stages[stage + 1].DataHost, stages[stage + 1].DataPort);
        output.ToHost(stages[stage].Node, new StageMessages.ConnectStage(id, _next.Epoch, stage, last ? -1 : stage + 1, node, host, port));
    }

    private void ActivateWhenConnected()
    {
        if (!_next!.AllConnected)
            return;
        (_current, _next) = (_next, null);
        Problem = "";
        IReadOnlyList<Sequence> misfits = scheduler.Activate(_current.Plan.Stages.Length, _current.Plan.Limits.KvBlocks);
        foreach (string node in _nodes.Keys.ToList())
        {
            output.ToHost(node, new StageMessages.RetireStages(id, _current.Epoch - 1));
            if (_nodes[node] < _current.Epoch)
                _nodes.Remove(node);
        }

        output.ToPlacement(new PlacementMessages.ReplicaActive(id, _current.Epoch));
        output.OnActive(_current.Plan, misfits);
    }

    private void EndCurrent(string reason, bool isLoss)
    {
        if (_current is null)
            return;
        long epoch = _current.Epoch;
        _current = null;
        output.Leave();
        output.StopListening(epoch);
        if (Problem.Length == 0)
            Problem = reason;
        output.OnInactive(reason, isLoss ? scheduler.Lose() : Suspended());
    }

    private void Report(PlacementMessages.ReplicaBroken broken)
    {
        _broken = broken;
        output.ToPlacement(broken);
    }

    private IReadOnlyList<Sequence> Suspended()
    {
        scheduler.Deactivate();
        return [];
    }

    private void Abandon()
    {
        if (_next is null)
            return;
        if (_next.IsConnecting)
        {
            output.Leave();
            output.StopListening(_next.Epoch);
        }

        _next = null;
    }
}
