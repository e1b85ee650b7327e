namespace Llama3Cluster.Shards.Planning;

/// <summary>A pipeline on real devices, first stage first.</summary>
/// <param name="Shape">The cut and its times.</param>
/// <param name="Devices">The device of each stage.</param>
/// <param name="NeededStages">How many stages it was formed with; the others joined to make it faster.</param>
internal sealed record Pipeline(PipelineShape Shape, PlannerDevice[] Devices, int NeededStages)
{
    /// <summary>Stage borders between two nodes.</summary>
    public int NodeCrossings => Devices.Zip(Devices.Skip(1)).Count(pair => pair.First.Node != pair.Second.Node);

    /// <summary>
    /// Gives each stage of a shape one of the devices, which come sorted by node: the one next to its predecessor's if that node
    /// has another of the kind, else the first that is left.
    /// </summary>
    public static Pipeline Place(PipelineShape shape, IReadOnlyList<PlannerDevice> devices, int neededStages)
    {
        var left = devices.ToList();
        var placed = new PlannerDevice[shape.Order.Length];
        for (int stage = 0; stage < placed.Length; stage++)
        {
            var kind = left.Where(device => ClassOf(device) == shape.Order[stage]);
            string? node = stage > 0 ? placed[stage - 1].Node : null;
            placed[stage] = kind.FirstOrDefault(device => device.Node == node) ?? kind.First();
            left.Remove(placed[stage]);
        }

        return new Pipeline(shape, placed, neededStages);
    }

    public static DeviceClass ClassOf(PlannerDevice device) => new(device.MemoryBytes, device.BytesPerSecond, device.Kind);
}
