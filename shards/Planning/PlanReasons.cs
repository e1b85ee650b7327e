using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>Puts the planner's decisions into sentences, with their numbers.</summary>
internal sealed class PlanReasons(ModelProfile model, ModelUnits units, PlannerOptions options, PlannerLinks links)
{
    private long KvBytesPerToken => model.KvBytesPerTokenPerLayer * model.LayerBytes.Count;

    /// <summary>Why a formation is as it is.</summary>
    public IReadOnlyList<string> Of(Formation formation, int maxBlocks)
    {
        var reasons = new List<string>
        {
            $"the model has {model.LayerBytes.Count} layers: {ByteSize.Format(units.WeightBytes(0, units.Count))} of weights, "
                + $"and {ByteSize.Format(KvBytesPerToken)} of KV cache for each position",
            Count(formation),
        };
        for (int i = 0; i < formation.Pipelines.Count; i++)
            reasons.AddRange(OfReplica($"replica {i + 1}", formation.Pipelines[i], maxBlocks));
        foreach (var spare in formation.Spares)
            reasons.Add($"{Named(spare)} is spare: {WhySpare(formation)}");
        return reasons;
    }

    /// <summary>Why nothing fits: first what the model needs and what the devices have, then the remedy.</summary>
    /// <param name="devices">All devices.</param>
    /// <param name="minBlocks">Least KV blocks, with which it does not fit.</param>
    /// <param name="mostBlocks">Most KV blocks with which one replica fits; -1 when not even the weights fit.</param>
    public IReadOnlyList<string> Refusal(IReadOnlyList<PlannerDevice> devices, int minBlocks, int mostBlocks)
    {
        int stages = options.StagesPerReplica ?? Math.Clamp(devices.Count, 1, units.Count);
        DeviceKind kind = devices.Select(device => device.Kind).Distinct().Count() == 1 ? devices[0].Kind : DeviceKind.Host;
        long needed = units.ReplicaBytes(stages, minBlocks, kind), kv = units.KvBytes(0, units.Count, minBlocks, kind);
        long weights = stages == 1 ? units.WeightBytes(0, units.Count, kind) : units.WeightBytes(0, 1, kind) + units.WeightBytes(1, units.Count, kind);
        string buffers = needed > weights + kv ? $", {ByteSize.Format(needed - weights - kv)} to compute in" : "";
        long present = devices.Sum(device => device.MemoryBytes);
        string had = devices.Count == 0
            ? "there is no device"
            : $"{Devices(devices.Count)} {(devices.Count == 1 ? "has" : "have")} {ByteSize.Format(present)}: "
                + string.Join(", ", devices.Select(Named));
        string first = $"the model does not fit: it needs {ByteSize.Format(needed)} ({ByteSize.Format(weights)} of weights{buffers} and "
            + $"{ByteSize.Format(kv)} of KV cache for {Positions(minBlocks)}), but {had}";
        return [$"{first}; {Cause(devices, stages, needed, present)}", Remedy(devices, stages, needed - present, mostBlocks)];
    }

    private string Cause(IReadOnlyList<PlannerDevice> devices, int stages, long needed, long present)
    {
        if (stages > units.Count)
        {
            return $"{stages} stages a replica were asked for, but {model.LayerBytes.Count} layers, embedding and head make at most "
                + $"{units.Count}";
        }

        if (stages > devices.Count)
            return $"a replica takes {Devices(stages)}, one a stage";
        if (needed > present)
            return $"{ByteSize.Format(needed - present)} are missing";
        return "that would be enough together, but the model is cut only between layers, and no cut fits the devices' single memories "
            + $"(embedding {ByteSize.Format(model.EmbeddingBytes)}, largest layer {ByteSize.Format(model.LayerBytes.Max())}, "
            + $"head {ByteSize.Format(model.HeadBytes)})"
            + (options.StagesPerReplica is null ? "" : $" in exactly {stages} stages");
    }

    private string Remedy(IReadOnlyList<PlannerDevice> devices, int stages, long missing, int mostBlocks)
    {
        if (stages > units.Count)
            return $"ask for at most {units.Count} stages a replica, or let the planner choose";
        if (stages > devices.Count && devices.Count > 0)
            return $"add {Devices(stages - devices.Count)}, or ask for at most {devices.Count} stages a replica";
        string more = missing > 0
            ? $"add devices with {ByteSize.Format(missing)} or more"
            : "add a device with more memory" + (options.StagesPerReplica is null ? "" : ", or let the planner choose the number of stages");
        string smaller = mostBlocks > 0
            ? $"lower the least KV cache to {Positions(mostBlocks)} or fewer"
            : "use a file of the model with smaller weights";
        return $"{more}, or {smaller}";
    }

    private string Count(Formation formation)
    {
        int replicas = formation.Pipelines.Count;
        int used = formation.Pipelines.Sum(pipeline => pipeline.Devices.Length);
        string limit = replicas == options.MaxReplicas ? "the most asked for" : "as many as hold the model and its least KV cache";
        return $"{used} of {Devices(used + formation.Spares.Count)} form {replicas} {(replicas == 1 ? "replica" : "replicas")}, {limit}";
    }

    private IEnumerable<string> OfReplica(string name, Pipeline pipeline, int maxBlocks)
    {
        var shape = pipeline.Shape;
        int stages = pipeline.Devices.Length, joined = stages - pipeline.NeededStages;
        string why = options.StagesPerReplica is not null ? "as asked for"
            : $"{pipeline.NeededStages} the fewest that hold the weights and {options.MinKvTokens:N0} positions of KV cache"
                + (joined > 0 ? $", {joined} more for speed" : "");
        yield return $"{name} has {stages} {(stages == 1 ? "stage" : "stages")}, {why}: "
            + string.Join("; ", Enumerable.Range(0, stages).Select(stage => Stage(pipeline, stage)));

        int slowest = Array.IndexOf(shape.StageSeconds, shape.SlowestSeconds);
        string pace = pipeline.TokenSeconds > shape.SlowestSeconds
            ? $"as many steps as stages are on their way, for {Milliseconds(pipeline.StreamSeconds)} each"
            : $"its slowest stage, {Named(pipeline.Devices[slowest])}, takes {Milliseconds(shape.SlowestSeconds)}";
        yield return $"{name} yields at most {1 / pipeline.TokenSeconds:N1} tokens/s with its pipeline full, one token a step: {pace}; "
            + $"a lone sequence gets {1 / pipeline.StreamSeconds:N1} tokens/s";
        if (pipeline.LinkSeconds > 0)
            yield return $"{name} spends {Milliseconds(pipeline.LinkSeconds)} of every step on slow links: {string.Join("; ", SlowLinks(pipeline))}";

        string limit = shape.Blocks == maxBlocks ? "the most asked for" : "what the devices' memories leave";
        string longest = (long)shape.Blocks * KvShape.BlockSize < model.ContextLength
            ? $"; a sequence of the model's whole context, {model.ContextLength:N0} positions, does not fit"
            : "";
        yield return $"{name} caches {Positions(shape.Blocks)} ({shape.Blocks:N0} blocks of {KvShape.BlockSize}), {limit}{longest}";
    }

    private IEnumerable<string> SlowLinks(Pipeline pipeline)
    {
        int stages = pipeline.Devices.Length;
        for (int stage = 0; stage < stages; stage++)
        {
            (string node, string next) = (pipeline.Devices[stage].Node, pipeline.Devices[(stage + 1) % stages].Node);
            if (links.Seconds(node, next) is > 0 and var seconds)
                yield return $"{node} to {next} {Milliseconds(seconds)}";
        }
    }

    private string Stage(Pipeline pipeline, int stage)
    {
        int first = pipeline.Shape.Boundaries[stage], end = pipeline.Shape.Boundaries[stage + 1];
        PlannerDevice device = pipeline.Devices[stage];
        long weights = units.WeightBytes(first, end, device.Kind), kv = units.KvBytes(first, end, pipeline.Shape.Blocks, device.Kind);
        long buffers = units.BufferBytes(first, end, device.Kind);
        return $"{Named(device)} holds {units.Slice(first, end)} with {ByteSize.Format(weights)} of weights"
            + (buffers > 0 ? $", {ByteSize.Format(buffers)} to compute in" : "")
            + $" and {ByteSize.Format(kv)} of KV cache, {Milliseconds(pipeline.Shape.StageSeconds[stage])} a step";
    }

    private string WhySpare(Formation formation)
    {
        string alone = formation.Pipelines.Count == options.MaxReplicas
            ? "no more replicas were asked for"
            : "what is left does not hold another replica";
        return options.StagesPerReplica is null
            ? $"{alone}, and it would not make a replica a tenth faster without slowing single sequences"
            : alone;
    }

    private static string Positions(int blocks) => $"{(long)blocks * KvShape.BlockSize:N0} positions";

    private static string Devices(int count) => count == 1 ? "1 device" : $"{count} devices";

    private static string Milliseconds(double seconds) => $"{1000 * seconds:N2} ms";

    private static string Named(PlannerDevice device) =>
        $"{device.Node}/{device.Index} {device.Name} ({ByteSize.Format(device.MemoryBytes)})";
}
