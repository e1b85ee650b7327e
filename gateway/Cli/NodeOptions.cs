using System.CommandLine;
using System.Net;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Actors.Weights;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Kernels.Cpu.Ceilings;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>The options of processes that are nodes of a cluster.</summary>
internal sealed class NodeOptions(string clusterFallback)
{
    public Option<string[]> Seeds { get; } = Opt.Repeated("--seed", "Cluster address of a running node to join; repeat it for more.", "HOST:PORT");

    public Option<IPEndPoint> Cluster { get; } = Opt.Endpoint("--cluster", clusterFallback, "Where this node's control messages arrive. Loopback unless you say; port 0 takes a free one.");

    public Option<IPEndPoint> Data { get; } = Opt.Endpoint("--data", "127.0.0.1:0", "Where activations from other nodes arrive.");

    public Option<IPEndPoint?> Weights { get; } = Opt.OptionalEndpoint("--weights", "Where nodes without the model's files fetch their slices from this one. Default: the host of --data, a free port.");

    public Option<IPEndPoint?> AdvertisedCluster { get; } = Opt.OptionalEndpoint("--advertise-cluster", "Where other nodes reach --cluster, if that differs (behind a proxy or address translation).");

    public Option<IPEndPoint?> AdvertisedData { get; } = Opt.OptionalEndpoint("--advertise-data", "Where other nodes reach --data, if that differs.");

    public Option<long?> Memory { get; } = Opt.Bytes("--memory", "Memory for weights and KV cache on this node, all devices together. Default: four fifths of the machine's; of a GPU, what its driver grants.");

    public Option<long?> ReplayLog { get; } = Opt.Bytes(
        "--replay-log", "Memory of each stage, beside --memory, for the activations that it sent: after another stage was lost it sends them again instead of computing them. 0: it computes them again. Default: 64MiB.");

    public Option<string?> Secret { get; } = Opt.OptionalText(
        "--secret", $"Secret that nodes prove to each other on data links; better set as {Settings.EnvironmentPrefix}SECRET. Beyond loopback it or --tls is required.", "TEXT");

    public TlsOptions Tls { get; } = new();

    public void AddTo(Command command)
    {
        command.Add(Seeds);
        command.Add(Cluster);
        command.Add(Data);
        command.Add(Weights);
        command.Add(AdvertisedCluster);
        command.Add(AdvertisedData);
        command.Add(Memory);
        command.Add(ReplayLog);
        command.Add(Secret);
        Tls.AddTo(command);
    }

    /// <summary>The node's addresses and secret, checked.</summary>
    public ClusterNodeOptions Read(ParseResult result, ModelFile model)
    {
        IPEndPoint cluster = result.GetValue(Cluster)!, data = result.GetValue(Data)!;
        IPEndPoint? advertisedCluster = result.GetValue(AdvertisedCluster), advertisedData = result.GetValue(AdvertisedData);
        string secret = result.GetValue(Secret) ?? "";
        TlsIdentity? tls = Tls.Read(result);
        IPEndPoint weights = result.GetValue(Weights) ?? new IPEndPoint(data.Address, 0);
        foreach (IPEndPoint endpoint in (IPEndPoint[])[cluster, data, weights])
            CheckProtection(endpoint, secret, tls);
        foreach (IPEndPoint endpoint in (IPEndPoint[])[advertisedCluster ?? cluster, advertisedData ?? data, weights])
            CheckName(endpoint, tls);
        var defaults = new ClusterNodeOptions { Model = model };
        return defaults with
        {
            Cluster = cluster,
            Data = data,
            Weights = weights,
            AdvertisedCluster = advertisedCluster,
            AdvertisedData = advertisedData,
            Seeds = result.GetValue(Seeds)!,
            Secret = secret,
            Tls = tls,
            ReplayLogBytes = result.GetValue(ReplayLog) ?? defaults.ReplayLogBytes,
        };
    }

    /// <summary>How to ask the cluster for its model.</summary>
    public static ModelSearch Search(ClusterNodeOptions options, string cache) =>
        new(options.ClusterName, options.Cluster.Address, options.Seeds, options.Secret, options.Tls, cache);

    /// <summary>Opens this node's devices, and measures how fast the processor reads memory if it is one of them: plans compare devices by that.</summary>
    /// <param name="result">The options.</param>
    /// <param name="model">Those that name devices.</param>
    /// <param name="count">How many; null for one a GPU, or else the whole processor.</param>
    /// <param name="most">How many at most, if nothing is said.</param>
    public DeviceSet OpenDevices(ParseResult result, ModelOptions model, int? count, int most)
    {
        DeviceChoice choice = model.DeviceOf(result);
        IReadOnlyList<DeviceSource> sources = Devices.Find(choice.Name);
        int wanted = count ?? Math.Min(most, sources.Count);
        return DeviceSet.Open(choice, sources, wanted, result.GetValue(Memory), CpuCeilings.MeasureRead);
    }

    private static void CheckProtection(IPEndPoint endpoint, string secret, TlsIdentity? tls)
    {
        if (endpoint.Address.Equals(IPAddress.Any) || endpoint.Address.Equals(IPAddress.IPv6Any))
            throw new UsageException($"{endpoint} names no address that other nodes could dial; give the address of one of this machine's interfaces");
        if (!IPAddress.IsLoopback(endpoint.Address) && secret.Length == 0 && tls is null)
        {
            throw new UsageException(
                $"{endpoint} can be reached from other machines: give this node certificates (--tls; \"llama3cluster certs\" makes them), or, on a network that only the cluster's nodes reach, "
                + $"set a secret for the data links ({Settings.EnvironmentPrefix}SECRET, the same on all nodes)");
        }
    }

    // Whoever dials checks that the certificate is for the address dialed.
    private static void CheckName(IPEndPoint endpoint, TlsIdentity? tls)
    {
        if (tls?.Bears(endpoint.Address.ToString()) == false)
        {
            throw new UsageException(
                $"this node's certificate is for {string.Join(", ", tls.Names)}, so others would refuse it at {endpoint}: make one with \"llama3cluster certs --host {endpoint.Address}\"");
        }
    }
}
