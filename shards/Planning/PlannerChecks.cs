namespace Llama3Cluster.Shards.Planning;

/// <summary>Refuses numbers that no plan can mean anything for.</summary>
internal static class PlannerChecks
{
    public static void Check(ModelProfile model, IReadOnlyList<PlannerDevice> devices, PlannerOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(devices);
        ArgumentNullException.ThrowIfNull(options);
        Require(model.LayerBytes.Count > 0, "the model has no layers", nameof(model));
        long smallest = Math.Min(model.LayerBytes.Min(), Math.Min(model.EmbeddingBytes, model.HeadBytes));
        Require(smallest > 0, $"a part of the model takes {smallest} bytes", nameof(model));
        Require(model.KvBytesPerTokenPerLayer >= 0, $"a cached position takes {model.KvBytesPerTokenPerLayer} bytes", nameof(model));
        Require(
            !model.TiedHead || model.HeadBytes >= model.EmbeddingBytes,
            $"a tied head of {model.HeadBytes} bytes cannot hold its embedding of {model.EmbeddingBytes}", nameof(model));

        Require(options.MinKvTokens >= 1, $"MinKvTokens is {options.MinKvTokens}, but must be at least 1", nameof(options));
        Require(
            options.MaxKvTokens >= options.MinKvTokens,
            $"MaxKvTokens is {options.MaxKvTokens}, but must be at least MinKvTokens, {options.MinKvTokens}", nameof(options));
        Require(
            options.StagesPerReplica is null or >= 1,
            $"StagesPerReplica is {options.StagesPerReplica}, but must be at least 1", nameof(options));
        Require(options.MaxReplicas is null or >= 1, $"MaxReplicas is {options.MaxReplicas}, but must be at least 1", nameof(options));

        var seen = new HashSet<(string, int)>();
        foreach (var device in devices)
        {
            string name = $"device {device.Node}/{device.Index} ({device.Name})";
            Require(seen.Add((device.Node, device.Index)), $"{name} is listed twice", nameof(devices));
            Require(device.MemoryBytes >= 0, $"{name} has {device.MemoryBytes} bytes of memory", nameof(devices));
            Require(Enum.IsDefined(device.Kind), $"{name} is of kind {(int)device.Kind}, which this release does not know", nameof(devices));
            Require(
                device.BytesPerSecond > 0 && double.IsFinite(device.BytesPerSecond),
                $"{name} reads {device.BytesPerSecond} bytes a second", nameof(devices));
        }
    }

    private static void Require(bool valid, string message, string parameter)
    {
        if (!valid)
            throw new ArgumentException(message, parameter);
    }
}
