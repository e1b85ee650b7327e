using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Akka.Actor;
using Akka.Hosting;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Actors.Gateways;

/// <summary>The endpoints' way into the actor system.</summary>
/// <param name="model">What is served.</param>
/// <param name="gateway">This node's <see cref="GatewayActor"/>, which starts beside the endpoints.</param>
public sealed class InferenceService(ServedModel model, IRequiredActor<GatewayActor> gateway) : IInferenceService
{
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(10);

    /// <inheritdoc/>
    public ServedModel Model { get; } = model;

    /// <inheritdoc/>
    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Bounded in effect: a generation has at most as many events as the context has positions.
        var events = Channel.CreateUnbounded<GenerationEvent>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
        IActorRef gatewayActor = await gateway.GetAsync(cancellationToken).ConfigureAwait(false);
        var submitted = await gatewayActor.Ask<GatewayActor.Submitted>(new GatewayActor.Submit(request, events.Writer), AskTimeout, CancellationToken.None)
            .ConfigureAwait(false);
        bool ended = false;
        try
        {
            await foreach (GenerationEvent generationEvent in events.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                ended = generationEvent is GenerationEvent.Finished or GenerationEvent.Failed;
                yield return generationEvent;
            }

            if (!ended)
            {
                ended = true;
                yield return new GenerationEvent.Failed(FailureCode.Failed, "the gateway stopped before the answer was complete");
            }
        }
        finally
        {
            if (!ended)
                submitted.Listener.Tell(GatewayActor.Abandon.Instance, ActorRefs.NoSender);
        }
    }

    /// <inheritdoc/>
    public async Task<ClusterSnapshot> GetSnapshotAsync(CancellationToken cancellationToken)
    {
        IActorRef gatewayActor = await gateway.GetAsync(cancellationToken).ConfigureAwait(false);
        return await gatewayActor.Ask<ClusterSnapshot>(GatewayActor.GetSnapshot.Instance, AskTimeout, cancellationToken).ConfigureAwait(false);
    }
}
