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
    public IAsyncEnumerable<GenerationEvent> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken) =>
        ReadAsync(events => new GatewayActor.Submit(request, events), cancellationToken);

    /// <inheritdoc/>
    public IAsyncEnumerable<GenerationEvent> ResumeAsync(string id, string owner, CancellationToken cancellationToken) =>
        ReadAsync(events => new GatewayActor.Resume(id, owner, events), cancellationToken);

    /// <inheritdoc/>
    public async Task<ClusterSnapshot> GetSnapshotAsync(CancellationToken cancellationToken)
    {
        IActorRef gatewayActor = await gateway.GetAsync(cancellationToken).ConfigureAwait(false);
        return await gatewayActor.Ask<ClusterSnapshot>(GatewayActor.GetSnapshot.Instance, AskTimeout, cancellationToken).ConfigureAwait(false);
    }

    private async IAsyncEnumerable<GenerationEvent> ReadAsync(
        Func<ChannelWriter<GenerationEvent>, object> submission, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Bounded in effect: a generation has at most as many events as the context has positions.
        var events = Channel.CreateUnbounded<GenerationEvent>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
        IActorRef gatewayActor = await gateway.GetAsync(cancellationToken).ConfigureAwait(false);
        var submitted = await gatewayActor.Ask<GatewayActor.Submitted>(submission(events.Writer), AskTimeout, CancellationToken.None).ConfigureAwait(false);
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
}
