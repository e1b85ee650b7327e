using Akka.Actor;
using Akka.Event;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// Releases frames that were told to actors which had stopped, or did not want them: such a frame would have no owner. One a
/// system.
/// </summary>
internal sealed class LostFrames : UntypedActor
{
    /// <summary>Starts collecting, unless it has started already.</summary>
    public static void Collect(ActorSystem system) => system.WithExtension<Collector, CollectorProvider>();

    protected override void PreStart() => Context.System.EventStream.Subscribe(Self, typeof(AllDeadLetters));

    protected override void OnReceive(object message)
    {
        if (message is AllDeadLetters { Message: PooledFrame frame })
            frame.Release();
    }

    private sealed class Collector(IActorRef actor) : IExtension
    {
        public IActorRef Actor { get; } = actor;
    }

    private sealed class CollectorProvider : ExtensionIdProvider<Collector>
    {
        public override Collector CreateExtension(ExtendedActorSystem system) =>
            new(system.SystemActorOf(Props.Create<LostFrames>(), "lost-frames"));
    }
}
