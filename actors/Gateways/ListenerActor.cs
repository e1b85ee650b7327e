using Akka.Actor;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Gateways;

/// <summary>
/// One request at the gateway where its client is: encodes the prompt, starts the generation, and writes what it hears into the
/// channel that the endpoint reads.
/// </summary>
internal sealed class ListenerActor : UntypedActor
{
    private readonly GatewayActor.Submit _submit;
    private readonly ServedModel _model;
    private readonly IActorRef _generations;
    private int[] _prompt = [];
    private bool _started;

    public ListenerActor(GatewayActor.Submit submit, ServedModel model, IActorRef generations)
    {
        _submit = submit;
        _model = model;
        _generations = generations;
    }

    /// <summary>To the gateway: which replica takes this prompt?</summary>
    public sealed record ChooseReplica(IReadOnlyList<int> Prompt) : INoSerializationVerificationNeeded;

    /// <summary>The replica that takes it; null when none can, with the reason.</summary>
    public sealed record Chosen(string? Replica, string Reason) : INoSerializationVerificationNeeded;

    private GenerationRequest Request => _submit.Request;

    protected override void PreStart()
    {
        // A long prompt takes milliseconds to encode: not on the dispatcher that the tokens of others wait for.
        (ITokenizer tokenizer, Prompt prompt) = (_model.Tokenizer, Request.Prompt);
        Task.Run(() => new Encoded(tokenizer.Encode(prompt))).PipeTo(Self, failure: error => new Status.Failure(error));
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Encoded encoded:
                _prompt = encoded.Tokens;
                Route();
                break;
            case Chosen chosen:
                Start(chosen);
                break;
            case Status.Failure failure:
                End(new GenerationEvent.Failed(FailureCode.InvalidRequest, failure.Cause.Message));
                break;
            case GenerationMessages.TokenSampled token:
                Write(new GenerationEvent.TokenGenerated(token.Index, new TokenLogProb(token.Token, token.LogProb), token.Top ?? []));
                break;
            case GenerationMessages.Completed completed:
                End(new GenerationEvent.Finished(completed.Reason, _prompt.Length, completed.GeneratedTokens, completed.CachedTokens));
                break;
            case GenerationMessages.Aborted aborted:
                End(new GenerationEvent.Failed(aborted.Code, aborted.Message, aborted.RetryAfterSeconds));
                break;
            case GatewayActor.Abandon:
                if (_started)
                    _generations.Tell(new GenerationMessages.Cancel(Request.Id));
                Context.Stop(Self);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    protected override void PostStop() => _submit.Events.TryComplete();

    private int Room => _model.ContextLength - _prompt.Length;

    private int Wanted => Request.MaxTokens ?? Room;

    private void Route()
    {
        if (Room >= 1 && Wanted <= Room)
        {
            Context.Parent.Tell(new ChooseReplica(_prompt));
            return;
        }

        string answer = Request.MaxTokens is { } asked ? $"{asked} for the answer" : "at least 1 for the answer";
        End(new GenerationEvent.Failed(FailureCode.ContextLengthExceeded,
            $"This model's context length is {_model.ContextLength} tokens; the request needs {_prompt.Length} for the prompt and {answer}. Shorten the prompt or ask for fewer tokens."));
    }

    private void Start(Chosen chosen)
    {
        if (chosen.Replica is null)
        {
            End(new GenerationEvent.Failed(FailureCode.Unavailable, chosen.Reason, 5));
            return;
        }

        Write(new GenerationEvent.Started(_prompt.Length));
        _started = true;
        int[] ends = Request.IgnoreEnd ? [] : [.. _model.Tokenizer.EndTokens];
        _generations.Tell(new GenerationMessages.Start(Request.Id, chosen.Replica, _prompt, Request.Sampling, Wanted, ends, Self));
    }

    private void Write(GenerationEvent generationEvent) => _submit.Events.TryWrite(generationEvent);

    private void End(GenerationEvent generationEvent)
    {
        Write(generationEvent);
        Context.Stop(Self);
    }

    private sealed record Encoded(int[] Tokens);
}
