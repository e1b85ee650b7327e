namespace Llama3Cluster.Actors.Protocol;

/// <summary>Versions of the link protocol that this build speaks. Both sides of a link settle on the newest they share.</summary>
public static class ProtocolVersion
{
    /// <summary>The newest version.</summary>
    public const int Current = 1;

    /// <summary>The oldest version that is still spoken.</summary>
    public const int Oldest = 1;

    /// <summary>The newest version that lies in both ranges; null when there is none.</summary>
    internal static int? Agree(int peerOldest, int peerCurrent)
    {
        int version = Math.Min(Current, peerCurrent);
        return version >= Math.Max(Oldest, peerOldest) ? version : null;
    }

    /// <summary>Why there is no common version, and what to do.</summary>
    internal static string Mismatch(int peerOldest, int peerCurrent) =>
        $"the peer speaks link protocol versions {peerOldest} to {peerCurrent}, this node {Oldest} to {Current}: " +
        "run releases on both nodes that share a version";
}
