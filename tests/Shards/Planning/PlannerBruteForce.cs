using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Tests.Planning;

/// <summary>Tries everything: the planner's specification for small clusters.</summary>
internal static class PlannerBruteForce
{
    /// <summary>Seconds of the slowest stage under the best cut over the devices in any order; null when none fits.</summary>
    public static double? SlowestOfAnyOrder(ModelProfile model, PlannerDevice[] devices, int blocks) =>
        Permutations([.. devices]).Min(order => SlowestOfOrder(model, order, blocks));

    /// <summary>Seconds of the slowest stage under the best cut over the devices in this order; null when none fits.</summary>
    public static double? SlowestOfOrder(ModelProfile model, PlannerDevice[] order, int blocks) =>
        Cuts(model.LayerBytes.Count + 2, order.Length).Min(cut => Slowest(model, order, cut, blocks));

    public static IEnumerable<PlannerDevice[]> Subsets(IReadOnlyList<PlannerDevice> devices)
    {
        for (int mask = 1; mask < 1 << devices.Count; mask++)
            yield return [.. devices.Where((_, i) => (mask & (1 << i)) != 0)];
    }

    private static double? Slowest(ModelProfile model, PlannerDevice[] order, int[] cut, int blocks)
    {
        double slowest = 0;
        int layers = model.LayerBytes.Count;
        for (int stage = 0; stage < order.Length; stage++)
        {
            int first = cut[stage], end = cut[stage + 1];
            var slice = new SliceRange(Math.Clamp(first - 1, 0, layers), Math.Clamp(end - 1, 0, layers), first == 0, end == layers + 2);
            long kv = model.KvBytesPerTokenPerLayer * 16 * blocks * slice.LayerCount;
            if (PlannerScenario.WeightBytes(model, slice) + kv > order[stage].MemoryBytes)
                return null;
            slowest = Math.Max(slowest, PlannerScenario.StepSeconds(model, slice, order[stage]));
        }

        return slowest;
    }

    private static IEnumerable<int[]> Cuts(int units, int stages)
    {
        if (stages > units)
            return [];
        return stages == 1
            ? [[0, units]]
            : Enumerable.Range(stages - 1, units - stages + 1).SelectMany(last => Cuts(last, stages - 1).Select(cut => (int[])[.. cut, units]));
    }

    private static IEnumerable<PlannerDevice[]> Permutations(List<PlannerDevice> devices) => devices.Count <= 1
        ? [[.. devices]]
        : devices.SelectMany(first => Permutations([.. devices.Where(device => device != first)]).Select(rest => (PlannerDevice[])[first, .. rest]));
}
