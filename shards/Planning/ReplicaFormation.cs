namespace Llama3Cluster.Shards.Planning;

/// <summary>
/// Decides which devices form which replicas. To fill the most replicas is bin covering, which is NP-hard; this is a greedy search
/// from several orderings of the devices. Whether any replica fits at all is not left to the search: of so many devices the roomiest
/// hold one if any do, so <see cref="NextMembers"/> asks the fitter about those.
/// </summary>
/// <param name="units">The model.</param>
/// <param name="devices">The devices, neighbours together.</param>
/// <param name="neighbours">Which these are.</param>
/// <param name="options">What the operator asks.</param>
/// <param name="minBlocks">Least KV blocks of a replica.</param>
/// <param name="maxBlocks">Most KV blocks of a replica.</param>
internal sealed class ReplicaFormation(
    ModelUnits units, IReadOnlyList<PlannerDevice> devices, Neighbours neighbours, PlannerOptions options, int minBlocks, int maxBlocks)
{
    // A spare device joins a pipeline that it makes at least 10 % faster without making a lone sequence wait 10 % longer.
    private const double LeastSpeedup = 1.1, MostStreamSlowdown = 1.1;

    private readonly PipelineFitter _fitter = new(units, minBlocks, maxBlocks);

    /// <summary>The best formation found; without pipelines when no replica fits.</summary>
    public Formation Best()
    {
        var byNode = Form(devices, isSameNodePreferred: true);
        if (byNode.Pipelines.Count == 0)
            return byNode; // no other order of devices changes that
        var bySpeed = devices.OrderByDescending(device => device.BytesPerSecond).ThenByDescending(device => device.MemoryBytes);
        var byMemory = devices.OrderBy(device => device.MemoryBytes).ThenByDescending(device => device.BytesPerSecond);
        var best = byNode;
        foreach (var order in new[] { bySpeed, byMemory })
        {
            var formation = Form(order, isSameNodePreferred: false);
            if (formation.IsBetterThan(best))
                best = formation;
        }

        return options.StagesPerReplica is null ? WithSpares(best) : best;
    }

    /// <summary>Whether any replica can be formed with the least KV blocks.</summary>
    public bool CanFormOne() => NextMembers([.. devices], LeastStages, false) is not null;

    private int LeastStages => options.StagesPerReplica ?? 1;

    private int MostStages => options.StagesPerReplica ?? units.Count;

    /// <summary>Takes replicas of the fewest stages from the pool, one after the other.</summary>
    private Formation Form(IEnumerable<PlannerDevice> order, bool isSameNodePreferred)
    {
        var pool = order.ToList();
        var pipelines = new List<Pipeline>();
        int stages = LeastStages;
        while (pipelines.Count < (options.MaxReplicas ?? int.MaxValue)
            && NextMembers(pool, stages, isSameNodePreferred) is { } members)
        {
            stages = members.Count; // the pool only shrinks: fewer stages will not do again
            pipelines.Add(Formed(members, members.Count)!);
            pool.RemoveAll(members.Contains);
        }

        return new Formation(pipelines, neighbours.Together(pool));
    }

    /// <summary>
    /// The pipeline of these devices, null if they hold none. The fitter knows no links: an order that it prefers may cross slow ones more
    /// often than the order that has neighbours together, and then the better of the two counts.
    /// </summary>
    private Pipeline? Formed(List<PlannerDevice> members, int neededStages)
    {
        if (_fitter.Fit(Classes(members)) is not { } shape)
            return null;
        var formed = Pipeline.Place(shape, members, neededStages, neighbours.Links);
        if (formed.LinkSeconds == 0 || _fitter.FitInOrder(Classes(members)) is not { } kept)
            return formed;
        var inOrder = Pipeline.Place(kept, members, neededStages, neighbours.Links);
        return inOrder.TokenSeconds < formed.TokenSeconds ? inOrder : formed;
    }

    /// <summary>
    /// The devices of the next replica: the fewest stages, devices that follow each other in the pool's order. Where not even the
    /// roomiest devices fit at a glance, only they are tried, but with all care.
    /// </summary>
    private List<PlannerDevice>? NextMembers(List<PlannerDevice> pool, int leastStages, bool isSameNodePreferred)
    {
        List<PlannerDevice> roomiest = [.. pool.OrderByDescending(RoomOf)];
        if (pool.Count == 0 || pool.Max(device => device.MemoryBytes) < units.LargestUnitBytes(minBlocks))
            return null;
        for (int stages = leastStages; stages <= Math.Min(MostStages, pool.Count); stages++)
        {
            var candidates = roomiest.GetRange(0, stages);
            if (TotalMemory(candidates) < units.ReplicaBytes(stages, minBlocks))
                continue;
            if (_fitter.FitsQuickly(Classes(candidates)))
                return FirstWindow(pool, stages, isSameNodePreferred) ?? neighbours.Together(candidates);
            candidates = neighbours.Together(candidates);
            if (_fitter.Fit(Classes(candidates)) is not null)
                return candidates;
        }

        return null;
    }

    /// <summary>
    /// The first window of the pool that fits, of those that spend the least time on slow links; of the fewest nodes if that is preferred.
    /// </summary>
    private List<PlannerDevice>? FirstWindow(List<PlannerDevice> pool, int stages, bool isSameNodePreferred)
    {
        long needed = units.ReplicaBytes(stages, minBlocks);
        int fewestPossible = isSameNodePreferred ? FewestNodes(pool, stages) : stages;
        (double Seconds, int Nodes) least = (double.PositiveInfinity, int.MaxValue);
        List<PlannerDevice>? best = null;
        for (int first = 0; first + stages <= pool.Count && (least.Seconds > 0 || least.Nodes > fewestPossible); first++)
        {
            var window = neighbours.Together(pool.GetRange(first, stages));
            if (TotalMemory(window) < needed)
                continue;
            var cost = (neighbours.RoundSeconds(window), window.DistinctBy(device => device.Node).Count());
            if (cost.CompareTo(least) < 0 && _fitter.FitsQuickly(Classes(window)))
                (best, least) = (window, cost);
        }

        return best;
    }

    /// <summary>The fewest nodes that have so many devices together.</summary>
    private static int FewestNodes(List<PlannerDevice> pool, int count)
    {
        int nodes = 0;
        foreach (int size in pool.CountBy(device => device.Node).Select(node => node.Value).OrderDescending())
        {
            nodes++;
            count -= size;
            if (count <= 0)
                break;
        }

        return nodes;
    }

    /// <summary>Offers each spare, the fastest first, to the pipelines: to those on its node, then to those near it, then to the slowest.</summary>
    private Formation WithSpares(Formation formation)
    {
        var pipelines = formation.Pipelines.ToList();
        var spares = formation.Spares.ToList();
        foreach (var spare in formation.Spares.OrderByDescending(device => device.BytesPerSecond))
        {
            var offers = Enumerable.Range(0, pipelines.Count)
                .OrderByDescending(i => pipelines[i].Devices.Any(device => device.Node == spare.Node))
                .ThenBy(i => pipelines[i].Devices.Min(device => neighbours.Links.Seconds(device.Node, spare.Node)))
                .ThenByDescending(i => pipelines[i].TokenSeconds);
            foreach (int i in offers)
            {
                if (Joined(pipelines[i], spare) is not { } joined)
                    continue;
                pipelines[i] = joined;
                spares.Remove(spare);
                break;
            }
        }

        return new Formation(pipelines, spares);
    }

    private Pipeline? Joined(Pipeline pipeline, PlannerDevice spare)
    {
        // At best all devices together read the model at the sum of their rates.
        double rates = pipeline.Devices.Sum(device => device.BytesPerSecond);
        double least = units.ReadBytes(0, units.Count) / (rates + spare.BytesPerSecond);
        if (least * LeastSpeedup > pipeline.TokenSeconds)
            return null;
        return Formed(neighbours.Together([.. pipeline.Devices, spare]), pipeline.NeededStages) is { } joined
            && joined.TokenSeconds * LeastSpeedup <= pipeline.TokenSeconds
            && joined.StreamSeconds <= pipeline.StreamSeconds * MostStreamSlowdown
            && joined.Shape.Blocks >= pipeline.Shape.Blocks
                ? joined
                : null;
    }

    // What is left for weights and KV cache.
    private long RoomOf(PlannerDevice device) => device.MemoryBytes - units.BufferBytes(0, units.Count, device.Kind);

    private static DeviceClass[] Classes(List<PlannerDevice> members) => [.. members.Select(Pipeline.ClassOf)];

    private static long TotalMemory(List<PlannerDevice> members) => members.Sum(device => device.MemoryBytes);
}
