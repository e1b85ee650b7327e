using System.Net;
using System.Text;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Remoting;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Shards.Files;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Weights;

/// <summary>How a process that has no model asks a cluster for its model, before it joins.</summary>
/// <param name="ClusterName">Name of the actor system.</param>
/// <param name="Address">An address of this machine that the cluster's nodes can reach.</param>
/// <param name="Seeds">Cluster addresses (host:port) of nodes to ask.</param>
/// <param name="Secret">The secret that data links prove to each other; empty for none.</param>
/// <param name="Tls">The node's certificates; null for none.</param>
/// <param name="Cache">Folder in which copies of models are kept.</param>
public sealed record ModelSearch(
    string ClusterName, IPAddress Address, IReadOnlyList<string> Seeds, string Secret, TlsIdentity? Tls, string Cache)
{
    // A seed that is about to start is found soon, one that is slow is found in the end.
    private static readonly TimeSpan FirstTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SayAfter = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan SayAgainAfter = TimeSpan.FromSeconds(15);

    /// <summary>Asks the seeds, again and again until one answers, and opens a copy of what they serve.</summary>
    /// <param name="local">A model that is here anyway: taken if it is the one that the cluster serves, instead of a copy.</param>
    /// <param name="loggers">Where waiting and fetching are logged.</param>
    /// <param name="cancellation">Ends the search.</param>
    /// <returns>The copy; null if the local model is the cluster's.</returns>
    /// <exception cref="ModelFileException">The model cannot be had; the message says why.</exception>
    public async Task<PartialModel?> FindAsync(ModelFile local, ILoggerFactory loggers, CancellationToken cancellation)
    {
        ILogger log = loggers.CreateLogger<PartialModel>();
        var refused = new RefusedPeers(log);
        WeightMessages.ModelOffer offer = await AskAsync(refused, log, cancellation).ConfigureAwait(false);
        if (offer.Fingerprint == local.Fingerprint)
            return null;
        var links = new LinkOptions
        {
            ClusterName = ClusterName,
            ModelFingerprint = offer.Fingerprint,
            Pool = new FramePool(),
            Secret = Encoding.UTF8.GetBytes(Secret),
            Tls = Tls,
            Refused = refused,
        };
        return await Task.Run(() => PartialModel.Open(Cache, offer, links, log, cancellation), cancellation).ConfigureAwait(false);
    }

    private async Task<WeightMessages.ModelOffer> AskAsync(RefusedPeers refused, ILogger log, CancellationToken cancellation)
    {
        // An actor system of its own, which is no member of anything.
        Config config = ConfigurationFactory.ParseString("akka { actor.provider = remote, loglevel = OFF, stdout-loglevel = OFF }")
            .WithFallback(ClusterNode.Remoting(Tls, new IPEndPoint(Address, 0)))
            .WithFallback(ClusterNode.Resource("cluster"));
        var setup = ActorSystemSetup.Create(BootstrapSetup.Create().WithConfig(config));
        if (Tls is not null)
            setup = setup.And(new TlsSetup(Tls, refused));
        var system = ActorSystem.Create(ClusterName, setup);
        try
        {
            DateTime sayAt = DateTime.UtcNow + SayAfter;
            for (TimeSpan timeout = FirstTimeout; ; timeout = timeout < LongestTimeout ? timeout * 1.25 : LongestTimeout)
            {
                foreach (string seed in Seeds)
                {
                    if (await AskAsync(system, seed, timeout, cancellation).ConfigureAwait(false) is { } offer)
                        return offer;
                }

                if (DateTime.UtcNow > sayAt)
                {
                    log.LogInformation("no node of the cluster answers at {Seeds}; asked again until one does", string.Join(", ", Seeds));
                    sayAt = DateTime.UtcNow + SayAgainAfter;
                }
            }
        }
        finally
        {
            await system.Terminate().ConfigureAwait(false);
        }
    }

    private async Task<WeightMessages.ModelOffer?> AskAsync(ActorSystem system, string seed, TimeSpan timeout, CancellationToken cancellation)
    {
        try
        {
            ActorSelection model = system.ActorSelection(new RootActorPath(SeedNodes.Parse(ClusterName, Tls, seed)) / "user" / ModelActor.ActorName);
            return await model.Ask<WeightMessages.ModelOffer>(new WeightMessages.DescribeModel(), timeout, cancellation).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            return null;
        }
    }
}
