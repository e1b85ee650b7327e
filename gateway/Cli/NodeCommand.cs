using System.CommandLine;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Weights;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>node</c>: a process that offers its devices to a cluster.</summary>
internal static class NodeCommand
{
    public static Command Create()
    {
        var model = new ModelOptions();
        var node = new NodeOptions("127.0.0.1:0");
        Option<int?> stages = Opt.OptionalNumber("--stages", 1, 64, "Slices that this node can hold: they share its GPUs, or its cores, and their memory. Default: one a GPU, else 1.");
        Option<string?> cache = Opt.OptionalText("--cache", $"Without --model: folder for weights that are fetched from other nodes. Default: {DefaultCache}.", "DIR");
        var command = new Command("node", """
            Offer this machine's devices to a cluster. Gateways put slices of the model on them.
              llama3cluster node --seed 127.0.0.1:9090 --model PATH      the gateway's cluster address, and the same model
              llama3cluster node --seed 127.0.0.1:9090                   the weights of its slice come from other nodes
            Fetched weights are kept in --cache: a node that starts again fetches what it lacks.
            """) { stages, cache };
        node.AddTo(command);
        model.AddTo(command);
        command.SetAction((result, cancellation) => RunAsync(model, node, result, result.GetValue(stages), result.GetValue(cache) ?? DefaultCache, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ModelOptions model, NodeOptions node, ParseResult result, int? stages, string cache, CancellationToken cancellation)
    {
        if (result.GetValue(node.Seeds) is { Length: 0 })
            throw new UsageException("a node joins a cluster: give a gateway's cluster address with --seed HOST:PORT (a gateway prints it when it starts)");
        using ModelFile local = ModelFile.Open(model.PathOf(result));
        ClusterNodeOptions options = node.Read(result, local);
        using PartialModel? partial = result.GetValue(model.Model) is null ? await FindModelAsync(NodeOptions.Search(options, cache), local, cancellation).ConfigureAwait(false) : null;
        ModelFile file = partial?.Model ?? local;
        using DeviceSet devices = node.OpenDevices(result, model, stages, most: file.Config.LayerCount + 2);
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        Logs.AddTo(builder.Logging);
        builder.Services.AddClusterNode(options with { Model = file, Partial = partial, Devices = devices.Devices });
        using IHost host = builder.Build();
        Console.WriteLine($"node of {file.Name}: {Devices.Describe(devices.Devices)}; joining {string.Join(", ", result.GetValue(node.Seeds)!)}");
        await host.RunAsync(cancellation).ConfigureAwait(false);
        return 0;
    }

    private static string DefaultCache =>
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "llama3cluster", "models");

    // Without --model the cluster's is taken: the demo model, which every program has, or a copy of what the slices need.
    private static async Task<PartialModel?> FindModelAsync(ModelSearch search, ModelFile demo, CancellationToken cancellation)
    {
        using ILoggerFactory loggers = LoggerFactory.Create(Logs.AddTo);
        PartialModel? partial = await search.FindAsync(demo, loggers, cancellation).ConfigureAwait(false);
        if (partial is not null)
            Console.WriteLine($"the cluster's model has {ByteSize.Format(partial.ModelBytes)}; {ByteSize.Format(partial.HeldBytes)} of it are in {partial.Folder}, {ByteSize.Format(partial.ReceivedBytes)} of them fetched just now");
        return partial;
    }
}
