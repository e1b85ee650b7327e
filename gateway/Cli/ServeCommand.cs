using System.CommandLine;
using System.Net;
using Llama3Cluster.Actors.Generations;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Http;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Tcp;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>serve</c>: a gateway, with stages of its own unless told otherwise.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var options = new ServeOptions();
        var command = new Command("serve", """
            Serve a model over HTTP and TCP: a gateway, and by default a stage for each GPU in this process, or two on the processor. (The default command.)
              llama3cluster serve                                                  the demo model on http://127.0.0.1:8080
              llama3cluster serve --model PATH --stages 0 --cluster 127.0.0.1:9090   stages are other nodes: start them with
              llama3cluster node --model PATH --seed 127.0.0.1:9090
            Options can also be set in appsettings.json (section "Llama3Cluster") or as LLAMA3CLUSTER_* variables.
            """);
        options.AddTo(command);
        command.SetAction((result, cancellation) => RunAsync(options, result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ServeOptions options, ParseResult result, CancellationToken cancellation)
    {
        string path = options.Model.PathOf(result);
        using ModelFile file = ModelFile.Open(path);
        int context = options.ContextOf(result, file);
        KvFormat kv = options.Model.KvFormatOf(result) ?? LocalModel.DefaultKvFormat(file);
        KvShape.Check(kv, file.Config.HeadDim);
        int? stages = options.StagesOf(result, file);
        var served = new ServedModel(
            result.GetValue(options.Name) ?? file.Name, context, file.Fingerprint, File.GetLastWriteTimeUtc(file.Path), TokenizerLoader.Load(path));
        var replicas = new ReplicaSettings
        {
            Replicas = options.ReplicasOf(result),
            MaxRows = result.GetValue(options.MaxRows),
            MaxSequences = result.GetValue(options.MaxSequences),
            MaxWaiting = result.GetValue(options.MaxWaiting),
            ContextLength = context,
            KvTokens = result.GetValue(options.KvTokens),
            KvFormat = kv,
            Activations = result.GetValue(options.Activations) == "bf16" ? ActivationFormat.BF16 : ActivationFormat.F32,
        };
        ClusterNodeOptions node = options.Node.Read(result, file) with
        {
            Served = served,
            Replicas = replicas,
            Retention = RetentionLimits.Default with { Time = TimeSpan.FromSeconds(result.GetValue(options.Keep)) },
        };
        using DeviceSet? set = stages == 0 ? null : options.Node.OpenDevices(result, options.Model, stages, most: file.Config.LayerCount + 2);
        IReadOnlyList<StageDevice> devices = set?.Devices ?? [];
        await using WebApplication app = Build(options, result, node with { Devices = devices });
        Banner.Print(file, node, devices, result.GetValue(options.Http)!);
        await app.RunAsync(cancellation).ConfigureAwait(false);
        return 0;
    }

    private static WebApplication Build(ServeOptions options, ParseResult result, ClusterNodeOptions node)
    {
        IPEndPoint http = result.GetValue(options.Http)!, tcp = result.GetValue(options.Tcp)!;
        string[] keys = result.GetValue(options.ApiKeys)!;
        foreach (IPEndPoint endpoint in (IPEndPoint[])[http, tcp])
        {
            if (!IPAddress.IsLoopback(endpoint.Address) && keys.Length == 0 && !result.GetValue(options.Open))
                throw new UsageException($"{endpoint} can be reached from other machines: set --api-key (or {Settings.EnvironmentPrefix}API_KEY), or --open to let everybody in");
        }

        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        Logs.AddTo(builder.Logging);
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(http));
        builder.Services.AddGatewayDrain(new DrainOptions(TimeSpan.FromSeconds(result.GetValue(options.Drain))));
        builder.Services.AddClusterNode(node);
        builder.Services.AddInferenceEndpoints(new EndpointOptions { ApiKeys = keys, CorsOrigins = result.GetValue(options.CorsOrigins)! });
        builder.Services.AddTcpEndpoint(new TcpEndpointOptions { EndPoint = tcp, ApiKeys = keys });
        builder.Services.AddSingleton(new ReadinessReport.Endpoints(http, tcp));
        builder.Services.AddHostedService<ReadinessReport>();
        WebApplication app = builder.Build();
        app.MapInferenceEndpoints();
        return app;
    }
}
