using System.Globalization;
using System.Net;
using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Llama3Cluster.Actors.Placement;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Hosting;

/// <summary>How a node finds its cluster: the seeds it knows, or itself if it is the first of them and nobody else is there.</summary>
internal static class SeedNodes
{
    // Others that are busy, or still take its last incarnation out, must not be missed: two clusters would never become one again.
    private static readonly TimeSpan FoundingTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Settings of how long the node asks its seeds.</summary>
    public static Config Settings(ClusterNodeOptions options) => MayFound(options)
        ? ConfigurationFactory.ParseString($"akka.cluster.seed-node-timeout = {FoundingTimeout.TotalSeconds:0}s")
        : ConfigurationFactory.Empty;

    /// <summary>Joins the cluster of the seeds, or founds one; the member is up some time after.</summary>
    public static async Task JoinAsync(Cluster cluster, ClusterNodeOptions options)
    {
        if (options.Seeds.Count == 0 || (MayFound(options) && await NobodyListensAsync(options.Seeds.Skip(1)).ConfigureAwait(false)))
            cluster.Join(cluster.SelfAddress);
        else
            cluster.JoinSeedNodes(options.Seeds.Select(seed => Parse(options.ClusterName, options.Tls, seed)));
    }

    /// <summary>The cluster address of a seed, HOST:PORT.</summary>
    /// <exception cref="ArgumentException">It is no such thing.</exception>
    public static Address Parse(string cluster, TlsIdentity? tls, string seed)
    {
        int colon = seed.LastIndexOf(':');
        string host = seed[..Math.Max(colon, 0)];
        bool isHost = host.Contains(':', StringComparison.Ordinal) ? host[0] == '[' && IPAddress.TryParse(host, out _) : Uri.CheckHostName(host) != UriHostNameType.Unknown;
        if (!isHost || !ushort.TryParse(seed[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
            throw new ArgumentException($"a seed is HOST:PORT of a running node's cluster address, such as 127.0.0.1:9090, not \"{seed}\"");
        return new Address(tls is null ? "akka.tcp" : "akka.ssl.tcp", cluster, host, port);
    }

    private static bool MayFound(ClusterNodeOptions options) =>
        options.Seeds.Count > 0 && options.Seeds[0] == (options.AdvertisedCluster ?? options.Cluster).ToString();

    private static async Task<bool> NobodyListensAsync(IEnumerable<string> seeds) =>
        Array.TrueForAll(await Task.WhenAll(seeds.Select(Knock.IsGoneAsync)).ConfigureAwait(false), gone => gone);
}
