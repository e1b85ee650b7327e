namespace Llama3Cluster.Shards.Planning;

/// <summary>How a set of devices forms one pipeline.</summary>
/// <param name="Order">The device of each stage.</param>
/// <param name="Boundaries">Stage i holds the units [Boundaries[i], Boundaries[i + 1]).</param>
/// <param name="Blocks">KV blocks on every stage.</param>
/// <param name="StageSeconds">Seconds of a step in each stage.</param>
internal sealed record PipelineShape(DeviceClass[] Order, int[] Boundaries, int Blocks, double[] StageSeconds)
{
    /// <summary>Seconds of the slowest stage: the time between tokens of a full pipeline.</summary>
    public double SlowestSeconds => StageSeconds.Max();

    /// <summary>Seconds that a lone sequence waits for a token.</summary>
    public double StreamSeconds => StageSeconds.Sum();
}

/// <summary>
/// Fits a set of devices to the model: their order, the cut, and the KV blocks. Results are remembered, for clusters have many
/// equal sets.
/// </summary>
internal sealed class PipelineFitter(ModelUnits units, int minBlocks, int maxBlocks)
{
    // By how much the slowest stage may slow down to make room for more KV blocks: a cut that only minimizes time may leave a fast
    // but small device no memory beyond the least that was asked for.
    private const double KvSlowdown = 1.1;

    // Up to six devices of different kinds, or seven of each of two: beyond that only likely orders are tried.
    private const int MaxStates = 64;

    // Devices come with neighbours together. Another order costs links between nodes, and measured rates differ by more than this
    // from one start to the next.
    private const double LeastOrderGain = 1.02;

    private readonly Dictionary<(bool, string), PipelineShape?> _shapes = [];

    /// <summary>
    /// Whether a pipeline over all these devices exists, at a glance: true is certain, false is not, <see cref="Fit"/> knows.
    /// </summary>
    public bool FitsQuickly(IReadOnlyList<DeviceClass> devices)
    {
        var descending = RoomiestFirst(devices);
        return SplitSearch.FitsGreedily(units, descending, minBlocks)
            || SplitSearch.FitsGreedily(units, RoomyEnds(descending), minBlocks);
    }

    /// <summary>
    /// The best pipeline over all these devices, one stage each; null when they cannot hold the model and the least KV blocks.
    /// Keeps the given order of devices, which has neighbours together, unless another makes the slowest stage 2 % faster.
    /// </summary>
    public PipelineShape? Fit(IReadOnlyList<DeviceClass> devices) => Remembered(devices, keepsOrder: false);

    /// <summary>The same in the given order, whatever another would gain.</summary>
    public PipelineShape? FitInOrder(IReadOnlyList<DeviceClass> devices) => Remembered(devices, keepsOrder: true);

    private PipelineShape? Remembered(IReadOnlyList<DeviceClass> devices, bool keepsOrder)
    {
        var key = (keepsOrder, string.Join(' ', devices.Select(device => $"{device.MemoryBytes}:{device.BytesPerSecond:R}:{(int)device.Kind}")));
        if (!_shapes.TryGetValue(key, out var shape))
            _shapes[key] = shape = Search(devices, keepsOrder);
        return shape;
    }

    private PipelineShape? Search(IReadOnlyList<DeviceClass> devices, bool keepsOrder)
    {
        if (devices.Count > units.Count || Fastest(devices, minBlocks, keepsOrder) is not { } fastest)
            return null;
        int blocks = MostBlocks(fastest.Order, KvSlowdown * fastest.Value);
        var split = blocks == minBlocks ? fastest : Fastest(devices, blocks, keepsOrder)!;
        split = SplitSearch.MostEven(units, StageGraph.Chain(split.Order), blocks, split.Value)!;

        var seconds = new double[split.Order.Length];
        for (int stage = 0; stage < seconds.Length; stage++)
        {
            int first = split.Boundaries[stage], end = split.Boundaries[stage + 1];
            seconds[stage] = units.ReadBytes(first, end) / split.Order[stage].BytesPerSecond;
        }

        return new PipelineShape(split.Order, split.Boundaries, RaiseBlocks(split), seconds);
    }

    /// <summary>The cut with the fastest slowest stage over the orders that are tried.</summary>
    private StageSplit? Fastest(IReadOnlyList<DeviceClass> devices, int blocks, bool keepsOrder)
    {
        var given = SplitSearch.Fastest(units, StageGraph.Chain(devices), blocks, SplitSearch.GreedyTime(units, devices, blocks));
        if (keepsOrder || devices.Distinct().Count() == 1)
            return given;

        var best = given;
        double longest = given is null ? double.PositiveInfinity : given.Value / LeastOrderGain;
        foreach (var orders in Orders(devices))
        {
            if (SplitSearch.Fastest(units, orders, blocks, longest) is not { } faster)
                continue;
            best = faster;
            longest = faster.Value;
        }

        return best;
    }

    private static IEnumerable<StageGraph> Orders(IReadOnlyList<DeviceClass> devices)
    {
        if (StageGraph.AllOrders(devices, MaxStates) is { } all)
            return [all];
        // Of many kinds, the orders that put the roomy or the fast at the ends, where embedding and head come on top of layers.
        var descending = RoomiestFirst(devices);
        DeviceClass[] fastestFirst =
            [.. devices.OrderByDescending(device => device.BytesPerSecond).ThenByDescending(device => device.MemoryBytes)];
        return
        [
            StageGraph.Chain(descending),
            StageGraph.Chain(RoomyEnds(descending)),
            StageGraph.Chain([.. Enumerable.Reverse(descending)]),
            StageGraph.Chain(fastestFirst),
            StageGraph.Chain([.. Enumerable.Reverse(fastestFirst)]),
        ];
    }

    private static DeviceClass[] RoomiestFirst(IReadOnlyList<DeviceClass> devices) =>
        [.. devices.OrderByDescending(device => device.MemoryBytes).ThenByDescending(device => device.BytesPerSecond)];

    /// <summary>The roomiest first, the second last, the others between them.</summary>
    private static DeviceClass[] RoomyEnds(DeviceClass[] descending) =>
        descending.Length < 3 ? descending : [descending[0], .. descending[2..], descending[1]];

    /// <summary>The most blocks with which the order still has a cut whose every stage takes at most so many seconds.</summary>
    private int MostBlocks(DeviceClass[] order, double longest)
    {
        int fits = minBlocks, beyond = maxBlocks + 1;
        while (beyond - fits > 1)
        {
            int middle = fits + ((beyond - fits) / 2);
            if (SplitSearch.FitsGreedily(units, order, middle, longest))
                fits = middle;
            else
                beyond = middle;
        }

        return fits;
    }

    /// <summary>The most blocks that a cut's stages hold.</summary>
    private int RaiseBlocks(StageSplit split)
    {
        long most = maxBlocks;
        for (int stage = 0; stage < split.Order.Length; stage++)
        {
            int first = split.Boundaries[stage], end = split.Boundaries[stage + 1];
            DeviceClass device = split.Order[stage];
            long blockBytes = units.KvBytes(first, end, 1, device.Kind);
            if (blockBytes > 0)
                most = Math.Min(most, (device.MemoryBytes - units.MemoryBytes(first, end, 0, device.Kind)) / blockBytes);
        }

        return (int)most;
    }
}
