using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Text;
using Akka.Actor;
using Akka.Cluster;
using Akka.Cluster.Sharding;
using Akka.Cluster.Tools.Singleton;
using Akka.Configuration;
using Akka.Hosting;
using Llama3Cluster.Actors.Gateways;
using Llama3Cluster.Actors.Generations;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Placement;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Remoting;
using Llama3Cluster.Actors.Replicas;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Actors.Weights;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Hosting;

/// <summary>Makes a process a node of the cluster: its actor system, and the actors of its roles.</summary>
public static class ClusterNode
{
    /// <summary>Role of nodes with endpoints; they also host replicas, generations and placement.</summary>
    public const string GatewayRole = "gateway";

    /// <summary>Role of nodes with devices.</summary>
    public const string StageRole = "stage";

    private const int Shards = 32;
    private const int MaxPayloadBytes = 256 << 20;
    private static readonly TimeSpan ExpiresSoon = TimeSpan.FromDays(30);
    private static readonly TimeSpan BindTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Adds a node. It is a gateway if <see cref="ClusterNodeOptions.Served"/> is set, and a stage node if it has devices; it may
    /// be both. The actor system starts and stops with the host.
    /// </summary>
    public static IServiceCollection AddClusterNode(this IServiceCollection services, ClusterNodeOptions options)
    {
        Validate(options);
        services.AddSingleton(provider => new RefusedPeers(provider.GetRequiredService<ILoggerFactory>().CreateLogger<RefusedPeers>()));
        services.AddAkka(options.ClusterName, (builder, provider) =>
        {
            var refused = provider.GetRequiredService<RefusedPeers>();
            if (options.Tls is { } identity)
                builder.AddSetup(new TlsSetup(identity, refused));
            builder.AddHocon(Configuration(options), HoconAddMode.Prepend);
            builder.ConfigureLoggers(loggers =>
            {
                loggers.ClearLoggers();
                loggers.AddLoggerFactory();
            });
            builder.AddStartup((system, registry) => StartAsync(system, registry, options, refused, provider.GetRequiredService<ILoggerFactory>()));
        });
        if (options.Served is { } served)
        {
            services.AddSingleton<IInferenceService>(provider =>
                new InferenceService(served, provider.GetRequiredService<IRequiredActor<GatewayActor>>()));
        }

        return services;
    }

    private static void Validate(ClusterNodeOptions options)
    {
        if (options.Served is null && options.Devices.Count == 0)
            throw new ArgumentException("a node is a gateway, or has devices, or both", nameof(options));
        if (options.Served is not null && options.Replicas is null)
            throw new ArgumentException("a gateway needs settings for its replicas", nameof(options));
        foreach (string seed in options.Seeds)
            _ = SeedNodes.Parse(options.ClusterName, options.Tls, seed);
    }

    private static Config Configuration(ClusterNodeOptions options)
    {
        string[] roles = [.. Roles(options)];
        var own = ConfigurationFactory.ParseString($$"""
            {{Advertised(options)}}
            akka.cluster.app-version = "{{VersionGuardActor.AppVersionOf(ProtocolVersion.Oldest, ProtocolVersion.Current)}}"
            akka.cluster.roles = [{{string.Join(", ", roles.Select(role => $"\"{role}\""))}}]
            """);
        return roles.Aggregate(own.WithFallback(SeedNodes.Settings(options)), (config, role) => config.WithFallback(Resource(role)))
            .WithFallback(Remoting(options.Tls, options.Cluster))
            .WithFallback(Resource("cluster"))
            .WithFallback(ClusterSharding.DefaultConfig())
            .WithFallback(ClusterSingleton.DefaultConfig());
    }

    /// <summary>Where and how control messages arrive.</summary>
    internal static Config Remoting(TlsIdentity? tls, IPEndPoint endpoint)
    {
        var own = ConfigurationFactory.ParseString(
            $$"""akka.remote.{{TransportOf(tls)}} { hostname = "{{endpoint.Address}}", port = {{endpoint.Port}} }""");
        return tls is null ? own : own.WithFallback(Resource("tls"));
    }

    private static string Advertised(ClusterNodeOptions options) => options.AdvertisedCluster is not { } endpoint
        ? ""
        : $$"""akka.remote.{{TransportOf(options.Tls)}} { public-hostname = "{{endpoint.Address}}", public-port = {{endpoint.Port}} }""";

    private static string TransportOf(TlsIdentity? tls) => tls is null ? "dot-netty.tcp" : "tls";

    private static IEnumerable<string> Roles(ClusterNodeOptions options)
    {
        if (options.Served is not null)
            yield return GatewayRole;
        if (options.Devices.Count > 0)
            yield return StageRole;
    }

    internal static Config Resource(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"hocon/{name}.conf")
            ?? throw new InvalidOperationException($"the assembly lacks its resource hocon/{name}.conf");
        using var reader = new StreamReader(stream);
        return ConfigurationFactory.ParseString(reader.ReadToEnd());
    }

    private static async Task StartAsync(ActorSystem system, IActorRegistry registry, ClusterNodeOptions options, RefusedPeers refused, ILoggerFactory loggers)
    {
        WarnOfExpiry(options, loggers.CreateLogger<TlsIdentity>());
        NodeContext node = await BindAsync(system, options, refused, loggers).ConfigureAwait(false);
        system.ActorOf(ModelActor.Props(node, StartWeightServer(system, node)), ModelActor.ActorName);
        system.ActorOf(VersionGuardActor.Props(loggers), "version-guard");
        if (options.Devices.Count > 0)
            StartStages(system, node);
        if (options.Served is not null)
            await StartGatewayAsync(system, registry, node).ConfigureAwait(false);

        await SeedNodes.JoinAsync(Cluster.Get(system), options).ConfigureAwait(false);
    }

    private static void WarnOfExpiry(ClusterNodeOptions options, ILogger log)
    {
        if (options.Tls is { } identity && identity.ExpiresAt - DateTimeOffset.UtcNow is var left && left < ExpiresSoon)
        {
            log.LogWarning(
                "this node's certificate expires in {Days:0} days, at {Time:u}: make a new one with \"llama3cluster certs\"; it is taken up without a restart",
                left.TotalDays, identity.ExpiresAt.UtcDateTime);
        }
    }

    private static async Task<NodeContext> BindAsync(ActorSystem system, ClusterNodeOptions options, RefusedPeers refused, ILoggerFactory loggers)
    {
        var pool = new FramePool();
        var links = new LinkOptions
        {
            ClusterName = options.ClusterName,
            ModelFingerprint = options.Model.Fingerprint,
            Pool = pool,
            Secret = Encoding.UTF8.GetBytes(options.Secret),
            Tls = options.Tls,
            Refused = refused,
            MaxPayloadBytes = MaxPayloadBytes,
            PingInterval = TimeSpan.FromMilliseconds(500),
            PingTimeout = TimeSpan.FromSeconds(3),
            RetryDelay = TimeSpan.FromMilliseconds(20),
        };
        IActorRef listener = system.ActorOf(LinkListenerActor.Props(links, options.Data), "links");
        return await listener.Ask<object>(LinkListenerActor.GetEndpoint.Instance, BindTimeout).ConfigureAwait(false) switch
        {
            LinkListenerActor.Bound bound => new NodeContext(options, pool, links, listener, options.AdvertisedData ?? bound.Endpoint, loggers),
            LinkListenerActor.BindFailed failed => throw new InvalidOperationException(failed.Reason),
            var other => throw new InvalidOperationException($"the link listener answered with {other}"),
        };
    }

    // A node that has the model's own files gives them to those that do not.
    private static IPEndPoint? StartWeightServer(ActorSystem system, NodeContext node)
    {
        if (node.Options.Partial is not null)
            return null;
        IPEndPoint endpoint = node.Options.Weights ?? new IPEndPoint(node.Options.Data.Address, 0);
        try
        {
            var server = WeightServer.Start(endpoint, node.Options.Model, node.Links);
            system.RegisterOnTermination(server.Dispose);
            return server.Endpoint;
        }
        catch (SocketException error)
        {
            throw new InvalidOperationException($"cannot listen for nodes that fetch weights at {endpoint}: {error.Message}. Choose another address with --weights.");
        }
    }

    private static void StartStages(ActorSystem system, NodeContext node)
    {
        IActorRef host = system.ActorOf(StageHostActor.Props(node), StageHostActor.ActorName);
        // A node that is asked to end first lets its slices move; a gateway's own stages end with it.
        if (node.Options.Served is null)
        {
            CoordinatedShutdown.Get(system).AddTask(CoordinatedShutdown.PhaseBeforeServiceUnbind, "drain-stages", async () =>
            {
                try
                {
                    await host.Ask<StageHostActor.Drained>(StageHostActor.Drain.Instance, DrainTimeout).ConfigureAwait(false);
                }
                catch (AskTimeoutException)
                {
                    node.Loggers.CreateLogger<StageHostActor>().LogWarning("no other node has taken this node's slices within {Seconds} s; it ends nevertheless", DrainTimeout.TotalSeconds);
                }

                return Akka.Done.Instance;
            });
        }
    }

    private static async Task StartGatewayAsync(ActorSystem system, IActorRegistry registry, NodeContext node)
    {
        var sharding = ClusterSharding.Get(system);
        ClusterShardingSettings settings = ClusterShardingSettings.Create(system).WithRole(GatewayRole);
        IActorRef? replicas = null;
        IActorRef? placement = null;
        replicas = await sharding.StartAsync(
            "replica", id => ReplicaActor.Props(node, id, () => placement!), settings, new ReplicaExtractor()).ConfigureAwait(false);
        IActorRef logs = system.ActorOf(LogStoreActor.Props(node.Options.Retention, node.Loggers), LogStoreActor.ActorName);
        IActorRef generations = await sharding.StartAsync(
            "generation", _ => GenerationActor.Props(() => replicas, logs), settings, new GenerationExtractor()).ConfigureAwait(false);

        system.ActorOf(
            ClusterSingletonManager.Props(
                PlacementActor.Props(node, () => replicas), PoisonPill.Instance,
                ClusterSingletonManagerSettings.Create(system).WithRole(GatewayRole).WithSingletonName(PlacementActor.SingletonName)),
            "placement-manager");
        placement = system.ActorOf(
            ClusterSingletonProxy.Props(
                "/user/placement-manager",
                ClusterSingletonProxySettings.Create(system).WithRole(GatewayRole).WithSingletonName(PlacementActor.SingletonName)),
            "placement-proxy");

        system.ActorOf(CrashActor.Props(node.Loggers), "crashes");
        IActorRef gateway = system.ActorOf(GatewayActor.Props(node.Options.Served!, () => generations), "gateway");
        registry.Register<GatewayActor>(gateway);
    }

    private sealed class ReplicaExtractor() : HashCodeMessageExtractor(Shards)
    {
        public override string? EntityId(object message) => (message as IReplicaMessage)?.ReplicaId;
    }

    private sealed class GenerationExtractor() : HashCodeMessageExtractor(Shards)
    {
        public override string? EntityId(object message) => (message as IGenerationMessage)?.GenerationId;
    }
}
