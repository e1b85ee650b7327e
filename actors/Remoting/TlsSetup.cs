using Akka.Actor.Setup;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Remoting;

/// <summary>What <see cref="TlsTransport"/> needs beyond its settings; part of the actor system's setup.</summary>
internal sealed class TlsSetup(TlsIdentity identity, RefusedPeers refused) : Setup
{
    /// <summary>The node's certificates.</summary>
    public TlsIdentity Identity { get; } = identity;

    /// <summary>Where refused connections are counted.</summary>
    public RefusedPeers Refused { get; } = refused;
}
