using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// Turns offers into the stages of replicas: as the planner cuts the model, or, when only some of a replica's nodes are lost, with the
/// lost slices on the nodes that are left, so that the others stay as they are. Pure.
/// </summary>
/// <param name="profile">The model.</param>
/// <param name="settings">What gateways ask of replicas.</param>
internal sealed class PlanBuilder(ModelProfile profile, ReplicaSettings settings)
{
    // Measurements of like machines differ by a few percent, and by much more while they are busy.
    private const double LikeRates = 1.5;

    /// <summary>One replica's stages and sizes.</summary>
    public sealed record Pipeline(PlacementMessages.StageAssignment[] Stages, StageMessages.ReplicaLimits Limits);

    /// <summary>Limits of a replica without a pipeline.</summary>
    public StageMessages.ReplicaLimits NoLimits => Limits(0);

    /// <summary>Cuts the model anew over all nodes. Slices stay where they are as far as the cut allows.</summary>
    /// <param name="nodes">The nodes.</param>
    /// <param name="present">What replicas have now, by id.</param>
    /// <param name="links">The slow links between the nodes; null if there are none.</param>
    /// <returns>Pipelines by replica, none when the model does not fit, and the planner's reasons.</returns>
    public (IReadOnlyDictionary<string, Pipeline> Pipelines, IReadOnlyList<string> Reasons) Cut(
        IReadOnlyList<PlacementMessages.NodeOffer> nodes, IReadOnlyDictionary<string, PlacementMessages.AssignPlan> present,
        PlannerLinks? links = null)
    {
        links ??= PlannerLinks.None;
        nodes = WithLevelRates(nodes);
        List<PlannerDevice> devices = [.. nodes.SelectMany(offer => offer.Devices.Select(device =>
            new PlannerDevice(offer.Node, device.Index, device.Name, device.MemoryBytes, device.BytesPerSecond, device.Kind)))];
        int most = settings.KvTokens
            ?? Math.Max(settings.ContextLength, (int)Math.Min((long)settings.MaxSequences * settings.ContextLength, int.MaxValue / 2));
        int? stages = settings.Replicas is { } replicas ? Math.Clamp(devices.Count / replicas, 1, profile.LayerBytes.Count + 2) : null;
        ClusterPlan plan = SlicePlanner.Plan(
            profile, devices, new PlannerOptions(Math.Min(settings.ContextLength, most), most, stages, settings.Replicas), links);

        IReadOnlyDictionary<string, string> sites = links.SitesOf(nodes.Select(offer => offer.Node));
        var pipelines = new Dictionary<string, Pipeline>();
        List<string> ids = [.. Enumerable.Range(1, plan.Replicas.Count).Select(number => $"replica-{number}")];
        foreach (PlannedReplica planned in plan.Replicas)
        {
            // The replica that has most of these devices now.
            string id = ids.MaxBy(candidate => Overlap(planned, present.GetValueOrDefault(candidate)))!;
            ids.Remove(id);
            pipelines[id] = Assign(planned, nodes, sites, present.GetValueOrDefault(id));
        }

        return (pipelines, plan.Reasons);
    }

    /// <summary>Puts the slices of lost nodes on the devices that are left, those with the least to do first.</summary>
    /// <param name="plan">What the replica has.</param>
    /// <param name="nodes">The nodes that are left.</param>
    /// <param name="others">What other replicas have.</param>
    /// <param name="links">The slow links between the nodes; null if there are none.</param>
    /// <returns>The stages; null when the memory of no device holds one of the slices.</returns>
    public Pipeline? Repair(
        PlacementMessages.AssignPlan plan, IReadOnlyList<PlacementMessages.NodeOffer> nodes, IEnumerable<PlacementMessages.AssignPlan> others,
        PlannerLinks? links = null)
    {
        links ??= PlannerLinks.None;
        List<Room> rooms = [.. nodes.SelectMany(node => node.Devices.Select(device => new Room(node, device)))];
        foreach (PlacementMessages.AssignPlan other in others.Append(plan))
        {
            foreach (PlacementMessages.StageAssignment stage in other.Stages)
                rooms.FirstOrDefault(room => room.Is(stage))?.Take(profile, stage.Slice, other.Limits.KvBlocks);
        }

        var stages = new PlacementMessages.StageAssignment[plan.Stages.Length];
        for (int i = 0; i < stages.Length; i++)
        {
            stages[i] = plan.Stages[i];
            if (rooms.Any(room => room.Is(plan.Stages[i])))
                continue;
            SliceRange slice = plan.Stages[i].Slice;
            Room? room = rooms.Where(candidate => candidate.Free >= candidate.Needs(profile, slice, plan.Limits.KvBlocks))
                .OrderBy(candidate => candidate.Stages).ThenBy(candidate => RoundSeconds(plan, i, candidate, links)).ThenByDescending(candidate => candidate.Free).ThenBy(candidate => candidate.Node.Node, StringComparer.Ordinal)
                .FirstOrDefault();
            if (room is null)
                return null;
            room.Take(profile, slice, plan.Limits.KvBlocks);
            stages[i] = room.Hold(slice);
        }

        return new Pipeline(stages, plan.Limits);
    }

    // What a step of the plan spends on slow links with one stage somewhere else.
    private static double RoundSeconds(PlacementMessages.AssignPlan plan, int moved, Room room, PlannerLinks links) =>
        links.RoundSeconds([.. plan.Stages.Select((stage, i) => i == moved ? room.Node.Node : stage.Node)]);

    // Devices whose measured rates are close are the same to the planner: like machines get like slices, and one that started again,
    // and measured itself again, gets the one that it had.
    private static IReadOnlyList<PlacementMessages.NodeOffer> WithLevelRates(IReadOnlyList<PlacementMessages.NodeOffer> nodes)
    {
        var levels = new Dictionary<double, double>();
        double level = 0;
        foreach (double rate in nodes.SelectMany(node => node.Devices).Select(device => device.BytesPerSecond).Distinct().Order())
            levels[rate] = level = rate <= level * LikeRates ? level : rate;
        return [.. nodes.Select(node => node with { Devices = [.. node.Devices.Select(device => device with { BytesPerSecond = levels[device.BytesPerSecond] })] })];
    }

    private static int Overlap(PlannedReplica planned, PlacementMessages.AssignPlan? present) =>
        present is null ? 0 : planned.Stages.Count(stage => present.Stages.Any(s => s.Node == stage.Node && s.DeviceIndex == stage.DeviceIndex));

    // Devices of one kind on one site are the same to the planner; which of them gets which slice is decided by who has it already.
    private Pipeline Assign(
        PlannedReplica planned, IReadOnlyList<PlacementMessages.NodeOffer> nodes, IReadOnlyDictionary<string, string> sites,
        PlacementMessages.AssignPlan? present)
    {
        List<Room> left = [.. planned.Stages.Select(stage => RoomOf(nodes, stage, sites))];
        Room[] kinds = [.. left];
        var stages = new PlacementMessages.StageAssignment?[planned.Stages.Count];
        for (int i = 0; i < stages.Length; i++)
        {
            PlacementMessages.StageAssignment? holder = present?.Stages.FirstOrDefault(stage => stage.Slice == planned.Stages[i].Slice);
            if (holder is not null && left.FirstOrDefault(room => room.Is(holder) && room.Kind == kinds[i].Kind) is { } room)
            {
                stages[i] = room.Hold(planned.Stages[i].Slice);
                left.Remove(room);
            }
        }

        for (int i = 0; i < stages.Length; i++)
        {
            if (stages[i] is not null)
                continue;
            Room room = left.First(candidate => candidate.Kind == kinds[i].Kind);
            stages[i] = room.Hold(planned.Stages[i].Slice);
            left.Remove(room);
        }

        // A cache that is a little smaller than it could be is worth less than what it holds.
        int blocks = present is not null && present.Limits.KvBlocks <= planned.KvBlocks && present.Limits.KvBlocks >= planned.KvBlocks * 0.8
            ? present.Limits.KvBlocks
            : planned.KvBlocks;
        return new Pipeline(stages!, Limits(blocks));
    }

    private static Room RoomOf(
        IReadOnlyList<PlacementMessages.NodeOffer> nodes, PlannedStage stage, IReadOnlyDictionary<string, string> sites)
    {
        PlacementMessages.NodeOffer node = nodes.First(offer => offer.Node == stage.Node);
        return new Room(node, node.Devices.First(device => device.Index == stage.DeviceIndex), sites[node.Node]);
    }

    private StageMessages.ReplicaLimits Limits(int kvBlocks) => new(
        settings.MaxRows, settings.MaxSequences, settings.ContextLength, kvBlocks, settings.KvFormat, settings.Activations);

    // A device, and what it holds.
    private sealed class Room(PlacementMessages.NodeOffer node, PlacementMessages.DeviceOffer device, string site = "")
    {
        public PlacementMessages.NodeOffer Node => node;

        public long Free { get; private set; } = device.MemoryBytes;

        public int Stages { get; private set; }

        public (long Memory, double Speed, DeviceKind Kind, string Site) Kind => (device.MemoryBytes, device.BytesPerSecond, device.Kind, site);

        public bool Is(PlacementMessages.StageAssignment stage) => stage.Node == node.Node && stage.DeviceIndex == device.Index && stage.DataPort == node.DataPort;

        public long Needs(ModelProfile profile, SliceRange slice, int kvBlocks) => profile.On(device.Kind).BytesOf(slice, kvBlocks);

        public void Take(ModelProfile profile, SliceRange slice, int kvBlocks)
        {
            Free -= Needs(profile, slice, kvBlocks);
            Stages++;
        }

        public PlacementMessages.StageAssignment Hold(SliceRange slice) =>
            new(node.Node, node.DataHost, node.DataPort, device.Index, device.Name, slice);
    }
}
