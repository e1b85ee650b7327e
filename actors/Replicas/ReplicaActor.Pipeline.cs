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

/// <content>How an epoch of the pipeline begins and ends.</content>
public sealed partial class ReplicaActor
{
    private void Assign(PlacementMessages.AssignPlan plan)
    {
        if (plan.Epoch <= (_pipeline?.Epoch ?? 0))
            return;
        EndEpoch();
        _pipeline = new PipelineState(plan);
        if (plan.Stages.Length == 0)
        {
            (_state, _problem) = (Idle, plan.Reason);
            AbortWaiting(plan.Reason);
            Publish();
            return;
        }

        (_state, _problem) = (Loading, "the pipeline is loading");
        _log.LogInformation("{Replica}, epoch {Epoch}: {Count} stages: {Stages}", _id, plan.Epoch, plan.Stages.Length, string.Join("; ", plan.Stages.Select(s => $"{s.Slice} on {s.Node}")));
        for (int i = 0; i < plan.Stages.Length; i++)
        {
            StageHostActor.On(plan.Stages[i].Node).Tell(new StageMessages.PrepareStage(
                _id, plan.Epoch, i, plan.Stages[i].DeviceIndex, plan.Stages[i].Slice, plan.Limits, Self));
        }

        Timers.StartSingleTimer("silent", new StagesSilent(plan.Epoch), SilenceLimit);
        Publish();
    }

    private void CheckSilence()
    {
        if (_pipeline!.Silent.FirstOrDefault() is { } silent)
            Break($"node {silent.Node} did not answer for {SilenceLimit.TotalSeconds:0} s", silent.Node);
    }

    private void Prepared(int stage)
    {
        _pipeline!.Prepared(stage);
        if (!_pipeline.AllPrepared)
            return;
        _node.Listener.Tell(new LinkListenerActor.Register(new LinkAddress(_id, _pipeline.Epoch, -1), Self));
        PlacementMessages.StageAssignment[] stages = _pipeline.Plan.Stages;
        for (int i = 0; i < stages.Length; i++)
        {
            bool last = i == stages.Length - 1;
            (string node, string host, int port) = last
                ? (_address, _node.DataEndpoint.Address.ToString(), _node.DataEndpoint.Port)
                : (stages[i + 1].Node, stages[i + 1].DataHost, stages[i + 1].DataPort);
            StageHostActor.On(stages[i].Node).Tell(new StageMessages.ConnectStage(_id, _pipeline.Epoch, i, last ? -1 : i + 1, node, host, port));
        }

        ConnectToFirst(stages[0]);
    }

    private void ConnectToFirst(PlacementMessages.StageAssignment first)
    {
        if (first.Node == _address)
        {
            StageHostActor.On(first.Node).Tell(new StageHostActor.FindStage(_id, _pipeline!.Epoch, 0));
            return;
        }

        var address = new LinkAddress(_id, _pipeline!.Epoch, 0);
        _entryLink = Context.ActorOf(LinkActor.Props(_node.Links, new IPEndPoint(IPAddress.Parse(first.DataHost), first.DataPort), address, Self));
    }

    private void EnterAt(IActorRef? entry)
    {
        if (entry is null || _pipeline is null || _state != Loading)
            return;
        _entry = entry;
        _pipeline.EntryConnected = true;
        ActivateWhenConnected();
    }

    private void ActivateWhenConnected()
    {
        if (_state != Loading || !_pipeline!.AllConnected)
            return;
        (_state, _problem) = (Active, "");
        Timers.Cancel("silent");
        Timers.Cancel("waited");
        foreach (Sequence misfit in _scheduler.Activate(_pipeline.Plan.Stages.Length, _pipeline.Plan.Limits.KvBlocks))
        {
            Forget(misfit.Id)?.Tell(new GenerationMessages.Aborted(misfit.Id, FailureCode.ContextLengthExceeded,
                $"{misfit.PromptLength} prompt tokens and {misfit.MaxTokens} of the answer need more KV cache than the {_scheduler.BlockCount * 16} positions of the pipeline", null));
        }

        Probe();
        Publish();
        Pump();
    }

    // Ready means that a real token has passed through every stage.
    private void Probe()
    {
        int token = _node.Options.Model.Config.BosToken ?? 0;
        _scheduler.Remove(ProbeId);
        _scheduler.Submit(new Sequence(ProbeId, [token], [], SamplingParameters.Greedy, 1, new HashSet<int>()));
    }

    private void Break(string reason, string? node)
    {
        if (_pipeline is null || _state is Idle or Broken)
            return;
        _log.LogWarning("{Replica}, epoch {Epoch} is over: {Reason}", _id, _pipeline.Epoch, reason);
        EndEpoch();
        (_state, _problem) = (Broken, reason);
        _placement().Tell(new PlacementMessages.ReplicaBroken(_id, _pipeline.Epoch, node, reason));
        LimitTheWait();
        Publish();
    }

    private void EndEpoch()
    {
        _ready = false;
        _state = Idle;
        _entry = null;
        if (_entryLink is not null)
            Context.Stop(_entryLink);
        _entryLink = null;
        _scheduler.Deactivate();
        if (_pipeline is not null)
            _node.Listener.Tell(new LinkListenerActor.Unregister(new LinkAddress(_id, _pipeline.Epoch, -1)));
    }
}
