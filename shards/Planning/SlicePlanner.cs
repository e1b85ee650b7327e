using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>
/// Decides which devices form which replicas and which slice of the model each of them holds. A pure function: the same model,
/// devices and options give the same plan, in whatever order the devices come.
/// </summary>
/// <remarks>
/// Replicas are formed one after the other, each of the fewest devices that hold the weights and the least KV cache asked for;
/// what remains joins a replica that it makes clearly faster. A replica's cut minimizes the slowest stage's time, the bytes that
/// a decode step reads over the device's rate, within every device's memory; KV blocks are then as many as fit without slowing
/// that stage by more than a tenth. Nodes with a slow link between them are in one replica only if there is no other way to form
/// it, or if it is faster all the same; then its stages are in an order that crosses few of these. A device takes at most one stage. What
/// does not fit is refused with the numbers, never made to fit by giving up something that was asked for.
/// </remarks>
public static class SlicePlanner
{
    /// <summary>Plans the cluster.</summary>
    /// <param name="model">The model.</param>
    /// <param name="devices">All devices that may be used.</param>
    /// <param name="options">What the operator asks.</param>
    /// <param name="links">The slow links between the devices' nodes; null if there are none.</param>
    /// <returns>The plan; without replicas, and with the numbers in its first reason, when the model does not fit.</returns>
    /// <exception cref="ArgumentException">
    /// A size, rate or count is out of range, or a device is listed twice: a mistake of the caller, not a matter of fit.
    /// </exception>
    public static ClusterPlan Plan(ModelProfile model, IReadOnlyList<PlannerDevice> devices, PlannerOptions options, PlannerLinks? links = null)
    {
        PlannerChecks.Check(model, devices, options);
        var neighbours = new Neighbours(devices, links ?? PlannerLinks.None);
        List<PlannerDevice> sorted = neighbours.Together(devices);
        var units = new ModelUnits(model);
        int minBlocks = Blocks(options.MinKvTokens), maxBlocks = Blocks(options.MaxKvTokens);
        var reasons = new PlanReasons(model, units, options, neighbours.Links);

        var formation = new ReplicaFormation(units, sorted, neighbours, options, minBlocks, maxBlocks).Best();
        if (formation.Pipelines.Count == 0)
        {
            int mostBlocks = MostBlocksOfOne(units, sorted, neighbours, options, minBlocks);
            return new ClusterPlan([], reasons.Refusal(sorted, minBlocks, mostBlocks));
        }

        var replicas = formation.Pipelines.Select(pipeline => Planned(units, pipeline));
        return new ClusterPlan([.. replicas], reasons.Of(formation, maxBlocks));
    }

    /// <summary>The most KV blocks, fewer than the given, with which one replica fits; -1 when not even the weights fit.</summary>
    private static int MostBlocksOfOne(
        ModelUnits units, List<PlannerDevice> devices, Neighbours neighbours, PlannerOptions options, int refused)
    {
        int fits = -1, beyond = refused;
        while (beyond - fits > 1)
        {
            int middle = fits + ((beyond - fits) / 2);
            if (new ReplicaFormation(units, devices, neighbours, options, middle, middle).CanFormOne())
                fits = middle;
            else
                beyond = middle;
        }

        return fits;
    }

    private static PlannedReplica Planned(ModelUnits units, Pipeline pipeline)
    {
        var shape = pipeline.Shape;
        var stages = new PlannedStage[pipeline.Devices.Length];
        for (int stage = 0; stage < stages.Length; stage++)
        {
            int first = shape.Boundaries[stage], end = shape.Boundaries[stage + 1];
            var device = pipeline.Devices[stage];
            long weightBytes = units.WeightBytes(first, end, device.Kind), kvBytes = units.KvBytes(first, end, shape.Blocks, device.Kind);
            stages[stage] = new PlannedStage(device.Node, device.Index, units.Slice(first, end), weightBytes, kvBytes)
            {
                StepSeconds = shape.StageSeconds[stage],
                BufferBytes = units.BufferBytes(first, end, device.Kind),
            };
        }

        return new PlannedReplica(stages, shape.Blocks, 1 / pipeline.TokenSeconds);
    }

    private static int Blocks(int tokens) => (int)(((long)tokens + KvShape.BlockSize - 1) / KvShape.BlockSize);
}
