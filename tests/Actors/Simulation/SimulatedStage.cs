using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Actors.Tests.Scheduling;
using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>
/// A stage as <see cref="StageActor"/> is one, with the same <see cref="StageLife"/>; instead of a slice of a model it has a
/// <see cref="SimulatedPipeline"/>, whose tokens depend on everything that its cache holds.
/// </summary>
internal sealed class SimulatedStage(SimulatedCluster cluster, SimulatedNode node, StageMessages.PrepareStage first)
{
    private readonly StageLife _life = new(first);
    private readonly HashSet<(long Epoch, int Stage)> _addresses = [(first.Epoch, first.Stage)];
    private readonly SimulatedPipeline _cache = new(first.Limits.MaxSequences, first.Limits.KvBlocks);
    private SimulatedLink? _out;
    private bool _loaded;
    private bool _stopped;
    private StageMessages.ConnectStage? _connect;

    public StageMessages.PrepareStage Newest => _life.Newest;

    public void Load() => cluster.World.Soon(5, 60, () =>
    {
        if (_stopped || !node.IsUp)
            return;
        _loaded = true;
        Prepared();
    });

    public void StandBy(StageMessages.PrepareStage assignment)
    {
        if (_life.Standby?.Epoch != assignment.Epoch && !_life.Prepare(assignment))
            return;
        _addresses.Add((assignment.Epoch, assignment.Stage));
        if (_loaded)
            Prepared();
    }

    public void Connect(StageMessages.ConnectStage connect)
    {
        if (_out is { IsUp: true } && _life.Accepts(connect.Epoch))
        {
            Connected();
            return;
        }

        if (!_life.Begin(connect.Epoch))
            return;
        _out?.Close("the epoch is over");
        _cache.Reset();
        _connect = connect;
        _out = cluster.Open(node, connect, Connected, reason => Fail(connect.Epoch, reason));
    }

    /// <summary>Whether a link for an epoch of this stage is taken.</summary>
    public bool Listens(long epoch, int stage) => !_stopped && _loaded
        && ((_life.Standby?.Epoch == epoch && _life.Standby.Stage == stage) || (_life.Accepts(epoch) && _life.Serving!.Stage == stage));

    /// <summary>Whether a link of an epoch can have led here.</summary>
    public bool HasBeen(long epoch, int stage) => _addresses.Contains((epoch, stage));

    public void Receive(Step step, SampledTokens? carried)
    {
        if (_stopped || !node.IsUp)
            return;
        if ((!_life.Accepts(step.Epoch) && cluster.IsFenced) || _out is null)
        {
            cluster.StaleFrames++;
            return;
        }

        if (!_life.Follows(step.Number) && cluster.IsFenced)
        {
            Fail(step.Epoch, "the step does not follow the one before");
            return;
        }

        // Whatever gets past these two must fit the cache: if it does not, that is what the run is looking for.
        SampledTokens result = _cache.Execute(step);

        // What a slice computes depends on what came before it: a difference is an error that travels on.
        if (carried is not null)
            result = Combined(carried, result);
        _out.Send(step, result);
    }

    public void LinkBroke(long epoch, string reason) => Fail(epoch, reason);

    public void Stop()
    {
        _stopped = true;
        _out?.Close("the stage was stopped");
        cluster.World.Soon(1, 20, () => node.StageStopped(this));
    }

    /// <summary>Its process has ended.</summary>
    public void Die()
    {
        _stopped = true;
        _out?.Break("the peer closed the connection");
    }

    private static SampledTokens Combined(SampledTokens before, SampledTokens own)
    {
        var combined = new SampledTokens();
        combined.Reset(own.Epoch, own.Step);
        for (int i = 0; i < own.Count; i++)
        {
            SampledRow row = own.Rows[i];
            bool agree = before.Rows[i].Token.Token == row.Token.Token;
            combined.Add(row.Slot, row.Sequence, row.Index, agree ? row.Token : row.Token with { Token = SimulatedCluster.Corrupt }, []);
        }

        return combined;
    }

    private void Prepared()
    {
        StageMessages.PrepareStage assignment = _life.Newest;
        Answer(new StageMessages.StagePrepared(assignment.ReplicaId, assignment.Epoch, assignment.Stage, "", 0));
    }

    private void Connected() => Answer(new StageMessages.StageConnected(_connect!.ReplicaId, _connect.Epoch, _connect.Stage));

    private void Fail(long epoch, string reason)
    {
        if (_stopped || !node.IsUp)
            return;
        if (_life.End(epoch))
            _out?.Close(reason);
        else if (_life.Standby?.Epoch != epoch)
            return;
        int stage = _life.Standby?.Epoch == epoch ? _life.Standby.Stage : _life.Serving!.Stage;
        Answer(new StageMessages.StageFailed(_life.Newest.ReplicaId, epoch, stage, reason));
    }

    private void Answer(IReplicaMessage message) => cluster.ToGateway(node, () => cluster.ReplicaReceives(message));
}
