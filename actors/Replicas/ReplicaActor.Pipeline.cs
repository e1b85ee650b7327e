using System.Net;
using Akka.Actor;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Shards.Sampling;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Replicas;

/// <content>What the pipeline's decisions do.</content>
public sealed partial class ReplicaActor : IPipelineOutput
{
    void IPipelineOutput.ToHost(string node, IClusterMessage message) => StageHostActor.On(node).Tell(message);

    void IPipelineOutput.ToPlacement(IClusterMessage message) => _placement().Tell(message);

    void IPipelineOutput.Listen(long epoch) =>
        _node.Listener.Tell(new LinkListenerActor.Register(new LinkAddress(_id, epoch, LinkAddress.ReplicaStage), Self));

    void IPipelineOutput.StopListening(long epoch) =>
        _node.Listener.Tell(new LinkListenerActor.Unregister(new LinkAddress(_id, epoch, LinkAddress.ReplicaStage)));

    void IPipelineOutput.Enter(long epoch, PlacementMessages.StageAssignment first)
    {
        if (first.Node == _address)
        {
            StageHostActor.On(first.Node).Tell(new StageHostActor.FindStage(_id, epoch, 0));
            return;
        }

        _entryLink = Context.ActorOf(LinkActor.Props(
            _node.Links, new IPEndPoint(IPAddress.Parse(first.DataHost), first.DataPort), new LinkAddress(_id, epoch, 0), Self));
    }

    void IPipelineOutput.Leave()
    {
        _entry = null;
        if (_entryLink is not null)
            Context.Stop(_entryLink);
        _entryLink = null;
    }

    void IPipelineOutput.OnActive(PlacementMessages.AssignPlan plan, IReadOnlyList<Sequence> misfits)
    {
        _log.LogInformation("{Replica}, epoch {Epoch} serves: {Stages}", _id, plan.Epoch, Describe(plan));
        Timers.Cancel("waited");
        foreach (Sequence misfit in misfits)
        {
            Forget(misfit.Id)?.Tell(new GenerationMessages.Aborted(misfit.Id, FailureCode.ContextLengthExceeded,
                $"{misfit.PromptLength} prompt tokens and {misfit.MaxTokens} of the answer need more KV cache than the {_scheduler.BlockCount * 16} positions of the pipeline", null));
        }

        Probe();
        Publish();
        Pump();
    }

    void IPipelineOutput.OnInactive(string reason, IReadOnlyList<Sequence> givenUp)
    {
        _ready = false;
        _log.LogInformation("{Replica} pauses: {Reason}", _id, reason);
        foreach (Sequence poison in givenUp)
        {
            _log.LogError("{Replica} gives up request {Request}: {Count} pipelines in a row were lost while they computed it alone", _id, poison.Id, BatchScheduler.MostLosses);
            Forget(poison.Id)?.Tell(new GenerationMessages.Aborted(poison.Id, FailureCode.Failed,
                $"{BatchScheduler.MostLosses} pipelines in a row were lost while they computed this request after {poison.GeneratedCount} tokens of its answer; it is not tried again. The nodes' logs say how they ended.", null));
        }

        LimitTheWait();
        Publish();
    }

    private void Assign(PlacementMessages.AssignPlan plan)
    {
        if (!_pipeline.Assign(plan))
            return;
        if (plan.Stages.Length > 0)
            _log.LogInformation("{Replica}, epoch {Epoch} is being built{Reason}: {Stages}", _id, plan.Epoch, plan.Reason.Length > 0 ? $" ({plan.Reason})" : "", Describe(plan));
        LimitTheWait();
        Publish();
        Drain();
    }

    // Steps under way return in milliseconds, unless the pipeline is broken in a way that nobody has noticed yet.
    private void Drain()
    {
        if (_pipeline.IsDraining)
            Timers.StartSingleTimer("drain", new DrainDeadline(_pipeline.Next!.Epoch), DrainLimit);
    }

    private void EnterAt(StageHostActor.LocalStage local)
    {
        if (local.Actor is null)
            return;
        _entry = local.Actor;
        _pipeline.Entered(local.Epoch);
    }

    // Ready means that a real token has passed through every stage.
    private void Probe()
    {
        int token = _node.Options.Model.Config.BosToken ?? 0;
        _scheduler.Remove(ProbeId);
        _scheduler.Submit(new Sequence(ProbeId, [token], [], SamplingParameters.Greedy, 1, new HashSet<int>()));
    }

    // No step has come back for long although every host answers: a stage hangs.
    private void CheckProgress()
    {
        long now = Environment.TickCount64;
        if (!_pipeline.IsActive || _scheduler.StepsInFlight == 0)
            _lastResult = now;
        else if (now - _lastResult > Math.Max(LeastStepDeadline, 20 * _slowestStep))
            _pipeline.Break(_pipeline.Current!.Epoch, $"no step has come back for {(now - _lastResult) / 1000} s");
    }

    private static string Describe(PlacementMessages.AssignPlan plan) =>
        $"{CountOf(plan)}: {string.Join("; ", plan.Stages.Select(stage => $"{stage.Slice} on {stage.Node}"))}";

    private static string CountOf(PlacementMessages.AssignPlan plan) => plan.Stages.Length == 1 ? "1 stage" : $"{plan.Stages.Length} stages";

    private sealed record DrainDeadline(long Epoch);
}
