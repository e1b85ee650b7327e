namespace Llama3Cluster.Shards.Planning;

/// <summary>A cut of the model's units over devices in pipeline order.</summary>
/// <param name="Order">The device of each stage.</param>
/// <param name="Boundaries">Stage i holds the units [Boundaries[i], Boundaries[i + 1]).</param>
/// <param name="Value">What the search minimized.</param>
internal sealed record StageSplit(DeviceClass[] Order, int[] Boundaries, double Value);

/// <summary>
/// Finds the best cut by dynamic programming over (devices used, units placed): the linear partition problem, here with unequal
/// parts and a memory limit on each. Every stage takes at least one unit.
/// </summary>
internal static class SplitSearch
{
    /// <summary>The cut with the shortest slowest stage, in seconds a step; null when none fits.</summary>
    /// <param name="units">The model.</param>
    /// <param name="orders">The orders of devices to choose from.</param>
    /// <param name="blocks">KV blocks on every stage.</param>
    /// <param name="longest">Only cuts whose every stage takes at most so many seconds.</param>
    public static StageSplit? Fastest(ModelUnits units, StageGraph orders, int blocks, double longest = double.PositiveInfinity) =>
        Minimize(units, orders, blocks, longest, static (before, seconds) => Math.Max(before, seconds));

    /// <summary>The most even of the cuts whose every stage takes at most so many seconds: the least sum of squares.</summary>
    public static StageSplit? MostEven(ModelUnits units, StageGraph orders, int blocks, double longest) =>
        Minimize(units, orders, blocks, longest, static (before, seconds) => before + (seconds * seconds));

    /// <summary>
    /// Whether filling one stage after the other as far as it goes places all units: enough to know that an order fits, at a
    /// fraction of a search's work.
    /// </summary>
    public static bool FitsGreedily(
        ModelUnits units, IReadOnlyList<DeviceClass> order, int blocks, double longest = double.PositiveInfinity)
    {
        int first = 0;
        for (int stage = 0; stage < order.Count; stage++)
        {
            int end = first, most = units.Count - (order.Count - 1 - stage);
            while (end < most && Fits(units, order[stage], first, end + 1, blocks, longest))
                end++;
            if (end == first)
                return false;
            first = end;
        }

        return first == units.Count;
    }

    /// <summary>
    /// A time that the order's fastest cut does not exceed, close to it; infinity if filling greedily places not all units. It spares
    /// a search most of its work.
    /// </summary>
    public static double GreedyTime(ModelUnits units, IReadOnlyList<DeviceClass> order, int blocks)
    {
        long bytes = units.ReadBytes(0, units.Count);
        double low = bytes / order.Sum(device => device.BytesPerSecond), high = bytes / order.Min(device => device.BytesPerSecond);
        if (!FitsGreedily(units, order, blocks, high))
            return double.PositiveInfinity;
        while (high > low * 1.001)
        {
            double middle = Math.Sqrt(low * high);
            if (FitsGreedily(units, order, blocks, middle))
                high = middle;
            else
                low = middle;
        }

        return high;
    }

    private static bool Fits(ModelUnits units, DeviceClass device, int first, int end, int blocks, double longest) =>
        units.MemoryBytes(first, end, blocks, device.Kind) <= device.MemoryBytes && units.ReadBytes(first, end) / device.BytesPerSecond <= longest;

    private static StageSplit? Minimize(
        ModelUnits units, StageGraph orders, int blocks, double longest, Func<double, double, double> combine)
    {
        // best[state, boundary]: the least value of placing the units [0, boundary) on the state's devices.
        int stages = orders.StageCount, width = units.Count + 1;
        var best = new double[orders.StateCount * width];
        Array.Fill(best, double.PositiveInfinity);
        best[0] = 0;
        var arrivals = new (int Edge, int First)[best.Length];
        for (int i = 0; i < orders.Edges.Count; i++)
        {
            var edge = orders.Edges[i];
            int depth = orders.Depths[edge.To];
            int least = depth == stages ? units.Count : depth, most = units.Count - (stages - depth);
            for (int first = depth - 1; first < most; first++)
            {
                double before = best[(edge.From * width) + first];
                if (double.IsPositiveInfinity(before))
                    continue;
                for (int end = Math.Max(least, first + 1); end <= most && Fits(units, edge.Device, first, end, blocks, longest); end++)
                {
                    double value = combine(before, units.ReadBytes(first, end) / edge.Device.BytesPerSecond);
                    if (value < best[(edge.To * width) + end])
                    {
                        best[(edge.To * width) + end] = value;
                        arrivals[(edge.To * width) + end] = (i, first);
                    }
                }
            }
        }

        return double.IsPositiveInfinity(best[^1]) ? null : Trace(orders, arrivals, width, best[^1]);
    }

    private static StageSplit Trace(StageGraph orders, (int Edge, int First)[] arrivals, int width, double value)
    {
        var order = new DeviceClass[orders.StageCount];
        var boundaries = new int[orders.StageCount + 1];
        int state = orders.StateCount - 1;
        boundaries[^1] = width - 1;
        for (int stage = order.Length - 1; stage >= 0; stage--)
        {
            var (edge, first) = arrivals[(state * width) + boundaries[stage + 1]];
            order[stage] = orders.Edges[edge].Device;
            boundaries[stage] = first;
            state = orders.Edges[edge].From;
        }

        return new StageSplit(order, boundaries, value);
    }
}
