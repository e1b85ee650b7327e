using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>Devices that are the same to the planner.</summary>
internal readonly record struct DeviceClass(long MemoryBytes, double BytesPerSecond, DeviceKind Kind);

/// <summary>
/// The orders of devices along a pipeline that a search may choose from, as a graph: a state says which devices have been used, an
/// edge uses one more. Every path from state 0 to the last is one order. Edges are sorted by the state they lead to.
/// </summary>
internal sealed class StageGraph
{
    private StageGraph(int[] depths, Edge[] edges)
    {
        Depths = depths;
        Edges = edges;
    }

    internal readonly record struct Edge(int From, int To, DeviceClass Device);

    /// <summary>Devices used in each state.</summary>
    public IReadOnlyList<int> Depths { get; }

    public IReadOnlyList<Edge> Edges { get; }

    public int StateCount => Depths.Count;

    public int StageCount => Depths[^1];

    /// <summary>One order only.</summary>
    public static StageGraph Chain(IReadOnlyList<DeviceClass> order) => new(
        [.. Enumerable.Range(0, order.Count + 1)], [.. order.Select((device, i) => new Edge(i, i + 1, device))]);

    /// <summary>
    /// All orders. Devices of one class are interchangeable, so a state is how many of each class are used: few states where
    /// clusters have few kinds of device. Null when there would be more than <paramref name="maxStates"/>.
    /// </summary>
    public static StageGraph? AllOrders(IReadOnlyList<DeviceClass> devices, int maxStates)
    {
        var classes = devices.CountBy(device => device).ToArray();
        int states = 1;
        foreach (var (_, count) in classes)
        {
            states *= count + 1;
            if (states > maxStates)
                return null;
        }

        // A state's number has one digit a class: the count used, in the base of the class's count + 1.
        var depths = new int[states];
        var edges = new List<Edge>();
        for (int state = 0; state < states; state++)
        {
            int stride = 1;
            foreach (var (device, count) in classes)
            {
                int used = state / stride % (count + 1);
                depths[state] += used;
                if (used > 0)
                    edges.Add(new Edge(state - stride, state, device));
                stride *= count + 1;
            }
        }

        return new StageGraph(depths, [.. edges]);
    }
}
