using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>A stage node: the production's <see cref="HostedStages{TStage}"/> over simulated stages.</summary>
internal sealed class SimulatedNode : IStageOwner<SimulatedStage>
{
    private readonly SimulatedCluster _cluster;
    private readonly HostedStages<SimulatedStage> _stages;
    private readonly List<SimulatedStage> _all = [];

    public SimulatedNode(SimulatedCluster cluster, PlacementMessages.NodeOffer offer)
    {
        _cluster = cluster;
        Offer = offer;
        _stages = new HostedStages<SimulatedStage>(this, index => index == 0 ? offer.Devices[0].MemoryBytes : null, assignment => BytesOf(assignment.Slice));
    }

    public PlacementMessages.NodeOffer Offer { get; }

    public string Name => Offer.Node;

    /// <summary>Whether its process lives.</summary>
    public bool IsUp { get; private set; } = true;

    /// <summary>Whether it stands still (SIGSTOP) until this moment.</summary>
    public TimeSpan StoppedUntil { get; set; }

    /// <summary>Whether it is cut off from all others.</summary>
    public bool IsCutOff { get; set; }

    public bool IsLeaving { get; set; }

    public int StageCount => _stages.Count;

    public static long BytesOf(SliceRange slice) => slice.LayerCount + (slice.HasEmbedding ? 1 : 0) + (slice.HasHead ? 1 : 0);

    public void Receive(object message)
    {
        switch (message)
        {
            case StageMessages.ProbeHost probe:
                _cluster.ToGateway(this, () => _cluster.PlacementReceives(new StageMessages.HostAlive(Name, probe.Number, 0)));
                break;
            case StageMessages.PrepareStage prepare:
                _stages.Prepare(prepare);
                break;
            case StageMessages.ConnectStage connect:
                _stages.Connect(connect, false);
                break;
            case StageMessages.RetireStages retire:
                _stages.Retire(retire);
                break;
        }
    }

    public SimulatedStage? ListenerFor(long epoch, int stage) => _all.FirstOrDefault(candidate => candidate.Listens(epoch, stage));

    /// <summary>A frame has come to the stage that has the link of an epoch, even if that is over.</summary>
    public void Deliver(long epoch, int stage, Step step, SampledTokens? carried)
    {
        foreach (SimulatedStage receiver in _all.Where(candidate => candidate.HasBeen(epoch, stage)).ToList())
            receiver.Receive(step, carried);
    }

    public void LinkBroke(long epoch, int stage, string reason)
    {
        foreach (SimulatedStage receiver in _all.Where(candidate => candidate.HasBeen(epoch, stage)).ToList())
            receiver.LinkBroke(epoch, reason);
    }

    public void StageStopped(SimulatedStage stage)
    {
        if (!IsUp)
            return;
        _all.Remove(stage);
        _stages.Stopped(stage);
    }

    /// <summary>kill -9.</summary>
    public void Die()
    {
        IsUp = false;
        foreach (SimulatedStage stage in _all)
            stage.Die();
    }

    SimulatedStage IStageOwner<SimulatedStage>.Start(StageMessages.PrepareStage assignment)
    {
        var stage = new SimulatedStage(_cluster, this, assignment);
        _all.Add(stage);
        stage.Load();
        return stage;
    }

    void IStageOwner<SimulatedStage>.Advance(SimulatedStage stage, StageMessages.PrepareStage assignment) => stage.StandBy(assignment);

    void IStageOwner<SimulatedStage>.Stop(SimulatedStage stage) => stage.Stop();

    void IStageOwner<SimulatedStage>.Connect(SimulatedStage stage, StageMessages.ConnectStage connect, SimulatedStage? next) => stage.Connect(connect);

    void IStageOwner<SimulatedStage>.Answer(StageMessages.PrepareStage assignment, IReplicaMessage message) =>
        _cluster.ToGateway(this, () => _cluster.ReplicaReceives(message));
}
