using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Placement;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>
/// A gateway with the production's placement and replica, and nodes with the production's hosts, in simulated time over a simulated
/// network: control messages are late, out of order, doubled or lost; processes end, stand still, are cut off, leave and join.
/// </summary>
internal sealed class SimulatedCluster : IPlacementOutput
{
    /// <summary>A token that no text has: a stage computed from another cache than the stage before it.</summary>
    public const int Corrupt = -1;

    private const int Layers = 6;
    private const string ReplicaId = "replica-1";
    private readonly List<SimulatedNode> _nodes = [];
    private readonly HashSet<SimulatedNode> _members = [];
    private readonly List<Connection> _connections = [];
    private readonly ReplicaSettings _settings;
    private PlacementState _placement;
    private SimulatedReplica _replica;
    private int _names;
    private long _epochs;

    public SimulatedCluster(SimulatedWorld world, bool isFenced)
    {
        World = world;
        IsFenced = isFenced;
        _settings = new ReplicaSettings { ContextLength = 120, MaxRows = world.Random.Next(4, 40), MaxSequences = world.Random.Next(2, 8), KvTokens = world.Random.Next(10, 40) * 16 };
        Generations = new SimulatedGenerations(world, () => _replica!);
        _placement = NewPlacement();
        _replica = NewReplica();
        for (int i = world.Random.Next(1, 5); i > 0; i--)
            Join();
        EveryTick(TimeSpan.FromMilliseconds(100), () => _placement.Tick(World.Now));
        EveryTick(TimeSpan.FromSeconds(1), () => _replica.Pipeline.Repeat());
        EveryTick(TimeSpan.FromSeconds(2), () =>
        {
            foreach (PlacementMessages.AssignPlan plan in _placement.Plans.Values)
                Assign(plan with { IsRepeated = true });
        });
    }

    private sealed record Connection(SimulatedLink Link, SimulatedNode? From, SimulatedNode? To);

    public SimulatedWorld World { get; }

    /// <summary>Whether stages refuse steps of epochs that are over, as they should.</summary>
    public bool IsFenced { get; }

    public SimulatedGenerations Generations { get; }

    public long StaleFrames { get; set; }

    public IEnumerable<SimulatedNode> Alive => _nodes.Where(node => node.IsUp);

    public SimulatedReplica Replica => _replica;

    // ---- what happens to nodes and gateways

    public void Join()
    {
        string name = $"n{++_names}:1";
        // Memory for half of the model, or for all of it.
        long memory = World.OneIn(2) ? (Layers / 2) + 1 : Layers + 3;
        var node = new SimulatedNode(this, new PlacementMessages.NodeOffer(name, _names, "127.0.0.1", 1000 + _names, 1, 1, "", [new PlacementMessages.DeviceOffer(0, "cpu", memory, 1e9)]));
        _nodes.Add(node);
        World.Note($"{name} joins with {memory} of memory");
        World.Soon(20, 300, () => ChangeMembers(() => _members.Add(node)));
    }

    public void Kill(SimulatedNode node)
    {
        World.Note($"{node.Name} is killed");
        BreakLinks(node);
        node.Die();
        World.Soon(20, 400, () =>
        {
            if (World.OneIn(2))
                _placement.Gone(node.Name, World.Now);
            ChangeMembers(() => _members.Remove(node));
        });
    }

    public void StandStill(SimulatedNode node, TimeSpan length)
    {
        World.Note($"{node.Name} stands still for {length.TotalSeconds:0.0} s");
        node.StoppedUntil = World.Now + length;
        if (length > TimeSpan.FromSeconds(3))
            World.After(TimeSpan.FromSeconds(3), () => BreakLinks(node));
        if (length > TimeSpan.FromSeconds(8))
            World.After(TimeSpan.FromSeconds(8), () => Expel(node));
    }

    public void CutOff(SimulatedNode node, TimeSpan length)
    {
        World.Note($"{node.Name} is cut off for {length.TotalSeconds:0.0} s");
        node.IsCutOff = true;
        World.After(length, () => node.IsCutOff = false);
        World.After(TimeSpan.FromSeconds(3), () =>
        {
            if (node.IsCutOff)
                BreakLinks(node);
        });
        if (length > TimeSpan.FromSeconds(8))
            World.After(TimeSpan.FromSeconds(8), () => Expel(node));
    }

    public void Leave(SimulatedNode node)
    {
        World.Note($"{node.Name} is asked to leave");
        node.IsLeaving = true;
        AskToLeave(node, World.Now + TimeSpan.FromSeconds(10));
    }

    public void LosePlacement()
    {
        World.Note("placement starts anew");
        _placement = NewPlacement();
        _placement.SetNodes(_members.Select(node => node.Offer), World.Now);
    }

    public void LoseReplica()
    {
        World.Note("the replica starts anew");
        _replica.Die();
        _replica = NewReplica();
        Generations.EnqueueAll();
    }

    // ---- the network

    public void ToGateway(SimulatedNode from, Action deliver) => Carry(from, deliver, () => true);

    public void ToHost(string name, object message)
    {
        if (_nodes.FirstOrDefault(node => node.Name == name) is { } node)
            Carry(node, () => WhenAwake(node, () => node.Receive(message)), () => node.IsUp);
    }

    public SimulatedLink Open(SimulatedNode from, StageMessages.ConnectStage connect, Action onUp, Action<string> onDown)
    {
        if (connect.NextStage < 0)
            return Dial(from, null, () => _replica.Listens(connect.Epoch), (step, result) => _replica.Receive(result!), reason => _replica.LinkBroke(connect.Epoch, reason), onUp, onDown);
        SimulatedNode to = _nodes.First(node => node.Name == connect.NextNode);
        return Dial(
            from, to, () => to.ListenerFor(connect.Epoch, connect.NextStage) is not null,
            (step, result) => WhenAwake(to, () => to.Deliver(connect.Epoch, connect.NextStage, step, result)),
            reason => WhenAwake(to, () => to.LinkBroke(connect.Epoch, connect.NextStage, reason)), onUp, onDown);
    }

    public SimulatedLink Enter(long epoch, PlacementMessages.StageAssignment first, Action onUp, Action<string> onDown)
    {
        SimulatedNode to = _nodes.First(node => node.Name == first.Node);
        return Dial(
            null, to, () => to.ListenerFor(epoch, 0) is not null,
            (step, result) => WhenAwake(to, () => to.Deliver(epoch, 0, step, null)),
            reason => WhenAwake(to, () => to.LinkBroke(epoch, 0, reason)), onUp, onDown);
    }

    public void PlacementReceives(StageMessages.HostAlive alive)
    {
        _placement.Answered(alive, World.Now);
        _placement.Tick(World.Now);
    }

    public void ReplicaReceives(IReplicaMessage message) => _replica.Receive(message);

    public void FromReplica(IClusterMessage message) => World.Soon(0, 10, () =>
    {
        if (World.OneIn(50))
            return; // lost
        switch (message)
        {
            case PlacementMessages.ReplicaBroken broken:
                _placement.Broken(broken, World.Now);
                break;
            case PlacementMessages.ReplicaStarted started:
                _placement.Started(started.ReplicaId, World.Now);
                break;
            case PlacementMessages.ReplicaActive active:
                _placement.Active(active);
                break;
        }

        _placement.Tick(World.Now);
    });

    void IPlacementOutput.Probe(string node, long number) => ToHost(node, new StageMessages.ProbeHost(number));

    void IPlacementOutput.Knock(string node) => World.Soon(30, 200, () =>
    {
        if (_nodes.Any(candidate => candidate.Name == node && !candidate.IsUp))
            _placement.Gone(node, World.Now);
    });

    void IPlacementOutput.Assign(PlacementMessages.AssignPlan plan) => Assign(plan);

    void IPlacementOutput.ToHost(string node, IClusterMessage message) => ToHost(node, message);

    void IPlacementOutput.Explain(string text) => World.Note($"placement: {text}");

    private PlacementState NewPlacement()
    {
        var profile = new ModelProfile([.. Enumerable.Repeat(1L, Layers)], 1, 1, false, 0, 4, _settings.ContextLength);
        return new PlacementState(new PlanBuilder(profile, _settings), _ => "", this, () => ++_epochs);
    }

    private SimulatedReplica NewReplica() => new(this, ReplicaId, _settings);

    private void Assign(PlacementMessages.AssignPlan plan)
    {
        if (!plan.IsRepeated)
            World.Note($"plan {plan.Epoch}: {string.Join("; ", plan.Stages.Select(stage => $"{stage.Slice} on {stage.Node}"))}");
        World.Soon(0, 10, () =>
        {
            if (!World.OneIn(50))
                _replica.Receive(plan);
        });
    }

    private void ChangeMembers(Action change)
    {
        change();
        _placement.SetNodes(_members.Select(node => node.Offer), World.Now);
        _placement.Tick(World.Now);
    }

    // The cluster has removed it; when it hears of that, it ends.
    private void Expel(SimulatedNode node)
    {
        World.Note($"{node.Name} is expelled");
        ChangeMembers(() => _members.Remove(node));
        World.After(TimeSpan.FromSeconds(5), () =>
        {
            BreakLinks(node);
            node.Die();
        });
    }

    private void AskToLeave(SimulatedNode node, TimeSpan deadline)
    {
        if (!node.IsUp)
            return;
        if (node.StageCount == 0 || World.Now > deadline)
        {
            World.Note($"{node.Name} leaves");
            BreakLinks(node);
            node.Die();
            ChangeMembers(() => _members.Remove(node));
            return;
        }

        ToGateway(node, () => _placement.Leaving(node.Name, World.Now));
        World.After(TimeSpan.FromMilliseconds(500), () => AskToLeave(node, deadline));
    }

    private void Carry(SimulatedNode node, Action deliver, Func<bool> canReceive)
    {
        if (node.IsCutOff || World.OneIn(200))
            return; // lost
        for (int copies = World.OneIn(50) ? 2 : 1; copies > 0; copies--)
        {
            World.Soon(1, World.OneIn(20) ? 400 : 8, () =>
            {
                if (canReceive())
                    deliver();
            });
        }
    }

    private void WhenAwake(SimulatedNode node, Action action)
    {
        if (!node.IsUp)
            return;
        if (node.StoppedUntil > World.Now)
            World.After(node.StoppedUntil - World.Now, () => WhenAwake(node, action));
        else
            action();
    }

    private SimulatedLink Dial(
        SimulatedNode? from, SimulatedNode? to, Func<bool> listens, Action<Shards.Execution.Step, Shards.Execution.SampledTokens?> receive,
        Action<string> onBroken, Action onUp, Action<string> onDown)
    {
        bool IsCut() => from is { IsCutOff: true } || to is { IsCutOff: true };
        SimulatedLink link = null!;
        link = new SimulatedLink(World, IsCut, receive, reason =>
        {
            if (link.IsUp)
                onBroken(reason);
        }, onDown);
        _connections.Add(new Connection(link, from, to));
        TryConnect(World.Now + TimeSpan.FromSeconds(3));
        return link;

        void TryConnect(TimeSpan deadline) => World.Soon(1, 20, () =>
        {
            if (link.IsEnded)
                return;
            bool awake = (from is null || from.StoppedUntil <= World.Now) && (to is null || to.StoppedUntil <= World.Now);
            if (awake && !IsCut() && to is not { IsUp: false } && listens())
            {
                link.IsUp = true;
                onUp();
            }
            else if (World.Now > deadline)
                link.Break("no link within 3 s");
            else
                TryConnect(deadline);
        });
    }

    private void BreakLinks(SimulatedNode node)
    {
        foreach (Connection connection in _connections.Where(connection => connection.From == node || connection.To == node).ToList())
        {
            connection.Link.Break("the peer closed the connection");
            _connections.Remove(connection);
        }
    }

    private void EveryTick(TimeSpan interval, Action action) => World.After(interval, () =>
    {
        action();
        EveryTick(interval, action);
    });
}
