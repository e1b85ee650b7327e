using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Placement;

/// <summary>What placement's decisions do.</summary>
internal interface IPlacementOutput
{
    /// <summary>Asks a node's host whether it is there; <see cref="PlacementState.Answered"/> follows.</summary>
    void Probe(string node, long number);

    /// <summary>Tries whether a process still listens at a node's address; <see cref="PlacementState.Gone"/> follows if none does.</summary>
    void Knock(string node);

    /// <summary>Gives a replica a plan.</summary>
    void Assign(PlacementMessages.AssignPlan plan);

    /// <summary>Sends a node's host a command.</summary>
    void ToHost(string node, IClusterMessage message);

    /// <summary>Tells people why nodes or replicas are as they are.</summary>
    void Explain(string text);
}

/// <summary>
/// Which nodes form which replicas, and when that changes: nodes join, leave, fall silent, and replicas break. A loss is answered at
/// once, with the lost slices on the nodes that are left; a cut over all nodes follows when things have settled. Pure: no actors, and
/// the time is told.
/// </summary>
internal sealed class PlacementState(PlanBuilder builder, Func<PlacementMessages.NodeOffer, string> problemOf, IPlacementOutput output, Func<long> epochNow)
{
    private const string FirstReplica = "replica-1";

    // Nodes that start together are planned together.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(700);

    // Who does not answer for so long is taken for lost: at all times, and when a replica has just broken.
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan ShortSilence = TimeSpan.FromMilliseconds(800);
    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(1);

    // After a repair, how long a lost node has to come back before the model is cut anew without it.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LastRetry = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, Node> _nodes = [];
    private readonly Dictionary<string, PlacementMessages.AssignPlan> _plans = [];
    private readonly HashSet<string> _broken = [];
    private readonly HashSet<string> _urgent = [];
    private readonly SlowLinks _links = new();
    private TimeSpan? _repairAt;
    private TimeSpan? _cutAt;
    private TimeSpan _holdUntil; // what has never worked is not tried again at once
    private TimeSpan _nextProbe;
    private TimeSpan _retry = FirstRetry;
    private long _probes;
    private long _lastEpoch;

    /// <summary>Why the plan is as it is.</summary>
    public IReadOnlyList<string> Reasons { get; private set; } = ["no stage node has joined yet"];

    /// <summary>The present plans, by replica.</summary>
    public IReadOnlyDictionary<string, PlacementMessages.AssignPlan> Plans => _plans;

    /// <summary>The nodes that are members, with what keeps each from taking part.</summary>
    public IEnumerable<PlacementMessages.NodeStatus> Nodes => _nodes.Values.Select(
        node => new PlacementMessages.NodeStatus(node.Offer, Problem(node), node.StaleFrames, node.RowsComputed, node.RowsReused));

    /// <summary>The members that offer devices have changed.</summary>
    public void SetNodes(IEnumerable<PlacementMessages.NodeOffer> present, TimeSpan now)
    {
        Dictionary<string, PlacementMessages.NodeOffer> offers = present.ToDictionary(offer => offer.Node);
        bool changed = false;
        foreach (Node node in _nodes.Values.Where(node => !offers.TryGetValue(node.Offer.Node, out var offer) || offer.NodeUid != node.Offer.NodeUid).ToList())
        {
            // Where a pipeline has lost slices, only these move; the others would lose what they hold by a cut that nobody asks for yet.
            _nodes.Remove(node.Offer.Node);
            _links.Forget(node.Offer.Node);
            changed |= _plans.Values.All(plan => plan.Stages.Length == 0);
            if (Uses(node.Offer))
                RepairAt(now);
        }

        foreach (PlacementMessages.NodeOffer offer in offers.Values)
        {
            if (_nodes.TryGetValue(offer.Node, out Node? known))
            {
                known.Offer = offer; // its report of what it has fetched changes
                continue;
            }

            _nodes[offer.Node] = new Node(offer);
            changed = true;
            if (problemOf(offer) is { Length: > 0 } problem)
            {
                output.Explain($"node {offer.Node} takes no part: {problem}");
                output.ToHost(offer.Node, new PlacementMessages.NodeRefused(problem));
            }
        }

        if (changed)
            CutAt(now + Settle);
    }

    /// <summary>A node's host has answered a probe.</summary>
    public void Answered(StageMessages.HostAlive alive, TimeSpan now)
    {
        if (!_nodes.TryGetValue(alive.Node, out Node? node))
            return;
        (node.StaleFrames, node.RowsComputed, node.RowsReused) = (alive.StaleFrames, alive.RowsComputed, alive.RowsReused);
        foreach (string change in _links.Take(alive.Node, (alive.Paths ?? []).Where(path => _nodes.ContainsKey(path.Node))))
        {
            output.Explain(change);
            CutAt(now + Settle);
        }

        node.AwaitedProbe = alive.Number >= node.AwaitedProbe ? null : node.AwaitedProbe;
        if (node.IsSilent)
        {
            node.IsSilent = false;
            output.Explain($"node {alive.Node} answers again");
            CutAt(now + Settle);
        }

        if (_repairAt is not null && _nodes.Values.All(n => n.IsSilent || n.AwaitedProbe is null))
            RepairAt(now); // everybody else has answered
    }

    /// <summary>Nobody listens at a node's address any more.</summary>
    public void Gone(string node, TimeSpan now)
    {
        if (_nodes.TryGetValue(node, out Node? gone) && !gone.IsSilent)
            FallSilent(gone, "its process has ended", now);
    }

    /// <summary>A node is about to leave.</summary>
    public void Leaving(string address, TimeSpan now)
    {
        if (!_nodes.TryGetValue(address, out Node? node) || node.IsLeaving)
            return;
        node.IsLeaving = true;
        output.Explain($"node {address} leaves");
        if (Uses(node.Offer))
            RepairAt(now);
    }

    /// <summary>A replica's epoch is over.</summary>
    public void Broken(PlacementMessages.ReplicaBroken broken, TimeSpan now)
    {
        _lastEpoch = Math.Max(_lastEpoch, broken.Epoch);
        if (!_plans.TryGetValue(broken.ReplicaId, out PlacementMessages.AssignPlan? plan) || broken.Epoch > plan.Epoch)
            return;
        if (broken.Served)
            _retry = FirstRetry;
        if (broken.Epoch == plan.Epoch)
            _broken.Add(broken.ReplicaId);

        // Whose fault it was shows by who still answers.
        Probe(now);
        foreach (string node in plan.Stages.Select(stage => stage.Node).Distinct())
            output.Knock(node);
        if (!broken.Served && broken.Epoch == plan.Epoch)
        {
            _holdUntil = now + _retry;
            _retry = _retry * 2 < LastRetry ? _retry * 2 : LastRetry;
        }

        RepairAt(now + ShortSilence);
    }

    /// <summary>A replica has started without a memory of what was: what it had is over.</summary>
    public void Started(string replica, TimeSpan now)
    {
        if (_plans.GetValueOrDefault(replica) is not { Stages.Length: > 0 })
            return;
        _broken.Add(replica);
        RepairAt(now);
    }

    /// <summary>A replica serves: what older epochs have left on any node is freed.</summary>
    public void Active(PlacementMessages.ReplicaActive active)
    {
        _lastEpoch = Math.Max(_lastEpoch, active.Epoch);
        _retry = FirstRetry;
        foreach (string node in _nodes.Keys)
            output.ToHost(node, new StageMessages.RetireStages(active.ReplicaId, active.Epoch - 1));
    }

    /// <summary>Does what is due. To be called often, and after everything else.</summary>
    public void Tick(TimeSpan now)
    {
        if (now >= _nextProbe)
            Probe(now);
        foreach (Node node in _nodes.Values.Where(node => !node.IsSilent && node.AwaitedProbe is not null))
        {
            TimeSpan silence = now - node.AwaitedSince;
            if (silence >= Silence || (_repairAt is not null && silence >= ShortSilence))
                FallSilent(node, $"it has not answered for {silence.TotalSeconds:0.0} s", now);
        }

        if (now >= _repairAt && now >= _holdUntil)
        {
            _repairAt = null;
            Repair(now);
        }

        if (_repairAt is null && now >= _cutAt)
        {
            _cutAt = null;
            Cut();
        }
    }

    private string Problem(Node node) => problemOf(node.Offer) is { Length: > 0 } problem ? problem
        : node.IsLeaving ? "it leaves"
        : node.IsSilent ? "it does not answer; it takes part again when it does"
        : "";

    private List<PlacementMessages.NodeOffer> Usable() =>
        [.. _nodes.Values.Where(node => !node.IsSilent && !node.IsLeaving && problemOf(node.Offer).Length == 0).Select(node => node.Offer)];

    private bool Uses(PlacementMessages.NodeOffer offer) => _plans.Values.Any(plan => Uses(plan, offer));

    private static bool Uses(PlacementMessages.AssignPlan plan, PlacementMessages.NodeOffer offer) =>
        plan.Stages.Any(stage => stage.Node == offer.Node && stage.DataPort == offer.DataPort);

    private void FallSilent(Node node, string how, TimeSpan now)
    {
        node.IsSilent = true;
        node.AwaitedProbe = null;
        _holdUntil = now;
        output.Explain($"node {node.Offer.Node} is taken for lost: {how}");
        foreach (PlacementMessages.AssignPlan plan in _plans.Values.Where(plan => Uses(plan, node.Offer)))
        {
            _broken.Add(plan.ReplicaId);
            _urgent.Add(plan.ReplicaId);
            RepairAt(now);
        }
    }

    private void Probe(TimeSpan now)
    {
        _probes++;
        _nextProbe = now + ProbeInterval;
        foreach (Node node in _nodes.Values)
        {
            if (node.AwaitedProbe is null)
                (node.AwaitedProbe, node.AwaitedSince) = (_probes, now);
            output.Probe(node.Offer.Node, _probes);
        }
    }

    private void RepairAt(TimeSpan time) => _repairAt = _repairAt is { } earlier && earlier < time ? earlier : time;

    private void CutAt(TimeSpan time) => _cutAt = _cutAt is { } earlier && earlier < time ? earlier : time;

    // Only what is lost moves.
    private void Repair(TimeSpan now)
    {
        List<PlacementMessages.NodeOffer> usable = Usable();
        foreach (PlacementMessages.AssignPlan plan in _plans.Values.Where(plan => plan.Stages.Length > 0).ToList())
        {
            bool whole = plan.Stages.All(stage => usable.Any(offer => offer.Node == stage.Node && offer.DataPort == stage.DataPort));
            if (whole && !_broken.Contains(plan.ReplicaId))
                continue;
            if (builder.Repair(plan, usable, _plans.Values.Where(other => other.ReplicaId != plan.ReplicaId), _links.Now) is not { } pipeline)
            {
                CutAt(now);
                continue;
            }

            Give(plan.ReplicaId, pipeline, whole ? "the pipeline broke" : "nodes were lost or leave");
            if (!whole)
                CutAt(now + Patience);
        }
    }

    private void Cut()
    {
        List<PlacementMessages.NodeOffer> usable = Usable();
        IReadOnlyDictionary<string, PlanBuilder.Pipeline> pipelines = new Dictionary<string, PlanBuilder.Pipeline>();
        if (usable.Count == 0)
            Reasons = [_nodes.Count == 0 ? "no stage node has joined yet" : "no stage node can be used; each one's problem is in its entry"];
        else
            (pipelines, Reasons) = builder.Cut(usable, _plans, _links.Now);

        foreach ((string id, PlanBuilder.Pipeline pipeline) in pipelines)
        {
            if (_broken.Contains(id) || _plans.GetValueOrDefault(id) is not { } present || !present.Stages.SequenceEqual(pipeline.Stages) || present.Limits != pipeline.Limits)
                Give(id, pipeline, "");
        }

        foreach (string surplus in _plans.Keys.Except(pipelines.Keys).Where(id => id != FirstReplica || pipelines.Count > 0).ToList())
        {
            Give(surplus, new PlanBuilder.Pipeline([], builder.NoLimits), "the replica is not planned any more");
            _plans.Remove(surplus);
            RetireEverywhere(surplus);
        }

        if (pipelines.Count == 0 && _plans.GetValueOrDefault(FirstReplica) is not { Stages.Length: 0 })
        {
            output.Explain($"there is no pipeline: {string.Join("; ", Reasons)}");
            Give(FirstReplica, new PlanBuilder.Pipeline([], builder.NoLimits), string.Join(". ", Reasons));
            RetireEverywhere(FirstReplica);
        }
        else if (pipelines.Count == 0)
        {
            // The numbers have changed.
            Give(FirstReplica, new PlanBuilder.Pipeline([], builder.NoLimits), string.Join(". ", Reasons));
        }
    }

    private void Give(string id, PlanBuilder.Pipeline pipeline, string reason)
    {
        // Larger than any epoch that an earlier singleton can have given out, whichever gateway it was on.
        _lastEpoch = Math.Max(_lastEpoch + 1, epochNow());
        var plan = new PlacementMessages.AssignPlan(id, _lastEpoch, pipeline.Stages, pipeline.Limits, reason, _urgent.Contains(id), IsRepeated: false);
        _plans[id] = plan;
        _broken.Remove(id);
        _urgent.Remove(id);
        output.Assign(plan);
    }

    private void RetireEverywhere(string id)
    {
        foreach (string node in _nodes.Keys)
            output.ToHost(node, new StageMessages.RetireStages(id, _lastEpoch));
    }

    private sealed class Node(PlacementMessages.NodeOffer offer)
    {
        public PlacementMessages.NodeOffer Offer { get; set; } = offer;

        public long? AwaitedProbe { get; set; }

        public TimeSpan AwaitedSince { get; set; }

        public bool IsSilent { get; set; }

        public bool IsLeaving { get; set; }

        public long StaleFrames { get; set; }

        public long RowsComputed { get; set; }

        public long RowsReused { get; set; }
    }
}
