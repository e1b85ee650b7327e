namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>A cluster's life: requests come, faults happen, and after the last fault everything must come to its end.</summary>
internal sealed class SimulatedLife
{
    private static readonly TimeSpan Trouble = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(300);

    private readonly SimulatedWorld _world;
    private readonly SimulatedCluster _cluster;
    private bool _troubled = true;

    private SimulatedLife(int seed, bool isFenced)
    {
        _world = new SimulatedWorld(seed);
        _cluster = new SimulatedCluster(_world, isFenced);
        for (int requests = _world.Random.Next(3, 25); requests > 0; requests--)
            _world.Soon(0, (int)Trouble.TotalMilliseconds, _cluster.Generations.Submit);
        for (int faults = _world.Random.Next(0, 7); faults > 0; faults--)
            _world.Soon(300, (int)Trouble.TotalMilliseconds, Fault);
        _world.After(Trouble, Recover);
    }

    /// <summary>Runs a seed.</summary>
    /// <returns>What went wrong, with the seed and the last events; null if nothing did.</returns>
    public static string? Run(int seed, bool isFenced = true)
    {
        var life = new SimulatedLife(seed, isFenced);
        try
        {
            return life.Run() is { } problem ? life.Describe(problem) : null;
        }
        catch (Exception error)
        {
            return life.Describe(error.ToString());
        }
    }

    /// <summary>What happened in a seed's life.</summary>
    public static string Trace(int seed)
    {
        var life = new SimulatedLife(seed, isFenced: true);
        life.Run();
        return life._world.Trace;
    }

    private string? Run()
    {
        while (_troubled || !IsAtRest())
        {
            if (_world.Now > Limit)
                return $"after {Limit.TotalSeconds} s {_cluster.Generations.Unfinished} requests are not answered, {_cluster.Replica.Scheduler.UsedBlockCount} KV blocks are held";
            _world.Step();
        }

        return null;
    }

    private bool IsAtRest() => _cluster.Generations.Unfinished == 0
        && _cluster.Replica.Scheduler is { UsedBlockCount: 0, RunningCount: 0, WaitingCount: 0 };

    private void Fault()
    {
        if (!_troubled)
            return;
        SimulatedNode[] alive = [.. _cluster.Alive];
        SimulatedNode? node = alive.Length > 0 ? alive[_world.Random.Next(alive.Length)] : null;
        var length = TimeSpan.FromMilliseconds(_world.Random.Next(200, 14_000));
        switch (_world.Random.Next(10))
        {
            case 0 or 1 or 2 when node is not null:
                _cluster.Kill(node);
                _world.Soon(500, 3000, _cluster.Join);
                break;
            case 3 when node is not null:
                _cluster.StandStill(node, length);
                break;
            case 4 or 5 when node is not null:
                _cluster.CutOff(node, length);
                break;
            case 6 when node is not null:
                _cluster.Leave(node);
                break;
            case 7:
                _cluster.Join();
                break;
            case 8:
                _cluster.LosePlacement();
                break;
            default:
                _cluster.LoseReplica();
                break;
        }
    }

    // Enough healthy nodes for the model: from here on, all must end well.
    private void Recover()
    {
        _troubled = false;
        _world.Note("no more faults");
        for (int i = 0; i < 3; i++)
            _cluster.Join();
    }

    private string Describe(string problem) =>
        $"seed {_world.Seed}: {problem}\nLLAMA3CLUSTER_SIMULATION_SEED={_world.Seed} runs it again. What happened last:\n{_world.Trace}";
}
