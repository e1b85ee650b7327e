namespace Llama3Cluster.Shards.Planning;

/// <summary>A pipeline on real devices, first stage first.</summary>
/// <param name="Shape">The cut and its times.</param>
/// <param name="Devices">The device of each stage.</param>
/// <param name="NeededStages">How many stages it was formed with; the others joined to make it faster.</param>
/// <param name="LinkSeconds">Seconds that a step spends on slow links, on the way back to the first stage included.</param>
internal sealed record Pipeline(PipelineShape Shape, PlannerDevice[] Devices, int NeededStages, double LinkSeconds)
{
    /// <summary>Seconds that a lone sequence waits for a token.</summary>
    public double StreamSeconds => Shape.StreamSeconds + LinkSeconds;

    /// <summary>
    /// Seconds between tokens when the pipeline is full. As many steps are on their way as there are stages, so it is the slowest stage that
    /// they wait for, or one another's whole round.
    /// </summary>
    public double TokenSeconds => LinkSeconds > 0 ? Math.Max(Shape.SlowestSeconds, StreamSeconds / Devices.Length) : Shape.SlowestSeconds;

    /// <summary>Stage borders between two nodes.</summary>
    public int NodeCrossings => Devices.Zip(Devices.Skip(1)).Count(pair => pair.First.Node != pair.Second.Node);

    /// <summary>
    /// Gives each stage of a shape one of the devices, which come sorted by node: the one next to its predecessor's if that node
    /// has another of the kind, else the first that is left of those to which the link is the fastest.
    /// </summary>
    public static Pipeline Place(PipelineShape shape, IReadOnlyList<PlannerDevice> devices, int neededStages, PlannerLinks links)
    {
        var left = devices.ToList();
        var placed = new PlannerDevice[shape.Order.Length];
        for (int stage = 0; stage < placed.Length; stage++)
        {
            var kind = left.Where(device => ClassOf(device) == shape.Order[stage]);
            string? node = stage > 0 ? placed[stage - 1].Node : null;
            placed[stage] = kind.FirstOrDefault(device => device.Node == node)
                ?? kind.MinBy(device => node is null ? 0 : links.Seconds(node, device.Node))!;
            left.Remove(placed[stage]);
        }

        return new Pipeline(shape, placed, neededStages, links.RoundSeconds([.. placed.Select(device => device.Node)]));
    }

    public static DeviceClass ClassOf(PlannerDevice device) => new(device.MemoryBytes, device.BytesPerSecond, device.Kind);
}
