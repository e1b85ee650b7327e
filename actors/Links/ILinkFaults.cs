using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>What happens to a frame instead of being sent at once.</summary>
public enum LinkFaultAction
{
    /// <summary>Nothing: it is sent.</summary>
    None,

    /// <summary>It and everything behind it is sent later.</summary>
    Delay,

    /// <summary>It is lost.</summary>
    Drop,

    /// <summary>The link breaks before it is sent.</summary>
    Disconnect,
}

/// <summary>A fault that befalls one frame.</summary>
/// <param name="Action">What happens.</param>
/// <param name="Delay">How much later the frame is sent, for <see cref="LinkFaultAction.Delay"/>.</param>
public readonly record struct LinkFault(LinkFaultAction Action, TimeSpan Delay = default);

/// <summary>Decides faults of a node's links, for tests. The default has none.</summary>
public interface ILinkFaults
{
    /// <summary>Asked on the link's thread before each step and each frame of sampled tokens is sent.</summary>
    LinkFault BeforeSend(LinkAddress address, FrameKind kind);
}

/// <summary>No faults.</summary>
internal sealed class NoLinkFaults : ILinkFaults
{
    public static NoLinkFaults Instance { get; } = new();

    public LinkFault BeforeSend(LinkAddress address, FrameKind kind) => default;
}
