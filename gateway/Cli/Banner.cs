using System.Net;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>What <c>serve</c> says when it starts: the model, the memory, and where everything is.</summary>
internal static class Banner
{
    public static void Print(ModelFile file, ClusterNodeOptions node, IReadOnlyList<StageDevice> devices, IPEndPoint http)
    {
        long weights = ModelSlice.BytesOf(file, SliceRange.Whole(file.Config.LayerCount));
        Console.WriteLine($"model     {file.Name}: {file.Config.LayerCount} layers, {ByteSize.Format(weights)} mapped, context {node.Replicas!.ContextLength}");
        Console.WriteLine(devices.Count == 0
            ? "devices   none here; waiting for nodes"
            : $"devices   {Devices.Describe(devices)}");
        Console.WriteLine($"http      http://{http}  (web page, OpenAI-compatible API)");
        Console.WriteLine($"cluster   {node.Cluster}  (join with: llama3cluster node --seed {node.Cluster} --model {file.Path})");
    }
}
