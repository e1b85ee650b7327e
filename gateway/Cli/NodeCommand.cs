using System.CommandLine;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>node</c>: a process that offers its devices to a cluster.</summary>
internal static class NodeCommand
{
    public static Command Create()
    {
        var model = new ModelOptions();
        var node = new NodeOptions("127.0.0.1:0");
        Option<int> stages = Opt.Number("--stages", 1, 1, 64, "Devices to offer, that is slices that this node can hold; they share its cores and memory.");
        var command = new Command("node", """
            Offer this machine's devices to a cluster. Gateways put slices of the model on them.
              llama3cluster node --seed 127.0.0.1:9090 --model PATH      the gateway's cluster address, and the same model
            """) { stages };
        node.AddTo(command);
        model.AddTo(command);
        command.SetAction((result, cancellation) => RunAsync(model, node, result, result.GetValue(stages), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ModelOptions model, NodeOptions node, ParseResult result, int stages, CancellationToken cancellation)
    {
        if (result.GetValue(node.Seeds) is { Length: 0 })
            throw new UsageException("a node joins a cluster: give a gateway's cluster address with --seed HOST:PORT (a gateway prints it when it starts)");
        using ModelFile file = ModelFile.Open(model.PathOf(result));
        IReadOnlyList<StageDevice> devices = node.CreateDevices(result, model, stages);
        try
        {
            HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
            Logs.AddTo(builder.Logging);
            builder.Services.AddClusterNode(node.Read(result, file) with { Devices = devices });
            using IHost host = builder.Build();
            Console.WriteLine($"node of {file.Name}: {stages} device(s), {Devices.Describe(devices[0].Device, devices[0].MemoryBytes)} each; joining {string.Join(", ", result.GetValue(node.Seeds)!)}");
            await host.RunAsync(cancellation).ConfigureAwait(false);
            return 0;
        }
        finally
        {
            foreach (StageDevice device in devices)
                device.Device.Dispose();
        }
    }
}
