using System.Threading.Channels;
using Akka.Actor;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Gateways;

/// <summary>
/// One answer at the gateway where its client is: encodes the prompt and starts the generation, or asks for one that was started
/// before, and writes what it hears into the channel that the endpoint reads. It counts the tokens: one that it has is not
/// written again, and when one is missing, or nothing is heard for a while, it asks for the rest.
/// </summary>
internal sealed class ListenerActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan AskInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly GenerationRequest? _request; // null when the generation was started before
    private readonly string _id;
    private readonly string _owner;
    private readonly ChannelWriter<GenerationEvent> _events;
    private readonly ServedModel _model;
    private readonly IActorRef _generations;
    private int[] _prompt = [];
    private GenerationMessages.Start? _start;
    private IActorRef? _generation;
    private int _promptTokens;
    private int _next;
    private int _missing = -1;
    private int _silentTicks;
    private bool _asks;
    private bool _started; // the generation knows the request
    private bool _announced; // the endpoint knows that

    public ListenerActor(GatewayActor.Submit submit, ServedModel model, IActorRef generations)
    {
        (_request, _events) = (submit.Request, submit.Events);
        (_id, _owner) = (submit.Request.Id, submit.Request.Owner);
        (_model, _generations) = (model, generations);
    }

    public ListenerActor(GatewayActor.Resume resume, ServedModel model, IActorRef generations)
    {
        (_id, _owner, _events) = (resume.GenerationId, resume.Owner, resume.Events);
        (_model, _generations) = (model, generations);
    }

    /// <summary>To the gateway: which replica takes this prompt?</summary>
    public sealed record ChooseReplica(IReadOnlyList<int> Prompt) : INoSerializationVerificationNeeded;

    /// <summary>The replica that takes it; null when none can, with the reason.</summary>
    public sealed record Chosen(string? Replica, string Reason) : INoSerializationVerificationNeeded;

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart()
    {
        if (_request is null)
        {
            Ask();
            return;
        }

        // A long prompt takes milliseconds to encode: not on the dispatcher that the tokens of others wait for.
        (ITokenizer tokenizer, Prompt prompt) = (_model.Tokenizer, _request.Prompt);
        Task.Run(() => new Encoded(tokenizer.Encode(prompt))).PipeTo(Self, failure: error => new Status.Failure(error));
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case GenerationMessages.TokenSampled token:
                Hear(token);
                break;
            case GenerationMessages.Attached attached:
                Attach(attached);
                break;
            case GenerationMessages.Completed completed when _next < TokensOf(completed):
                AskForMissing();
                break;
            case GenerationMessages.Completed completed:
                End(new GenerationEvent.Finished(completed.Reason, _promptTokens, completed.GeneratedTokens, completed.CachedTokens));
                break;
            case GenerationMessages.Aborted aborted:
                End(new GenerationEvent.Failed(aborted.Code, aborted.Message, aborted.RetryAfterSeconds));
                break;
            case GenerationMessages.Detached { TakenOver: false } when _start is not null:
                _started = false; // no copy of it was kept: it is made again, and what the client has is skipped
                Ask();
                break;
            case GenerationMessages.Detached detached:
                End(detached.TakenOver
                    ? new GenerationEvent.Failed(FailureCode.Failed, "another connection goes on with this answer")
                    : new GenerationEvent.Failed(FailureCode.NotFound, $"there is no answer \"{_id}\", or not any more"));
                break;
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
            case Tick:
                OnTick();
                break;
            case Terminated terminated when terminated.ActorRef.Equals(_generation):
                _generation = null;
                Ask(); // wherever it lives next
                break;
            case Terminated:
                break;
            case GatewayActor.Abandon:
                if (_asks)
                    _generations.Tell(new GenerationMessages.Cancel(_id));
                Context.Stop(Self);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    protected override void PostStop() => _events.TryComplete();

    private int Room => _model.ContextLength - _prompt.Length;

    private int Wanted => _request!.MaxTokens ?? Room;

    private void Route()
    {
        if (Room >= 1 && Wanted <= Room)
        {
            Context.Parent.Tell(new ChooseReplica(_prompt));
            return;
        }

        string answer = _request!.MaxTokens is { } asked ? $"{asked} for the answer" : "at least 1 for the answer";
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

        int[] ends = _request!.IgnoreEnd ? [] : [.. _model.Tokenizer.EndTokens];
        _start = new GenerationMessages.Start(
            _id, chosen.Replica, _prompt, _request.Sampling, Wanted, ends, Self, false, _owner, _request.Resumable, _request.Presentation);
        Ask();
    }

    // Messages to a generation are lost while the gateway that has it is gone, so this is repeated until it answers.
    private void Ask()
    {
        if (_start is null || _started)
            _generations.Tell(new GenerationMessages.Attach(_id, _owner, _next, Self));
        else
            _generations.Tell(_asks ? _start with { Again = true } : _start);
        _asks = true;
        if (!Timers.IsTimerActive("tick"))
            Timers.StartPeriodicTimer("tick", Tick.Instance, AskInterval);
    }

    private void Attach(GenerationMessages.Attached attached)
    {
        _silentTicks = 0;
        if (!Sender.Equals(_generation))
        {
            if (_generation is not null)
                Context.Unwatch(_generation);
            _generation = Context.Watch(Sender);
        }

        _started = true;
        if (_announced)
            return;
        _announced = true;
        _promptTokens = attached.PromptTokens;
        _events.TryWrite(new GenerationEvent.Started(attached.PromptTokens, attached.Presentation));
    }

    private void Hear(GenerationMessages.TokenSampled token)
    {
        _silentTicks = 0;
        if (token.Index == _next)
        {
            _next++;
            _events.TryWrite(new GenerationEvent.TokenGenerated(token.Index, new TokenLogProb(token.Token, token.LogProb), token.Top ?? [])
            {
                CachedTokens = token.CachedTokens,
            });
        }
        else if (token.Index > _next)
        {
            AskForMissing();
        }
    }

    // The end token is counted, but it is not told.
    private static int TokensOf(GenerationMessages.Completed completed) =>
        completed.GeneratedTokens - (completed.Reason == FinishReason.EndToken ? 1 : 0);

    // Once for each index: what follows the gap says nothing new.
    private void AskForMissing()
    {
        if (_missing == _next)
            return;
        _missing = _next;
        Ask();
    }

    private void OnTick()
    {
        _silentTicks++;
        if (_generation is null && _silentTicks * AskInterval > Patience)
        {
            End(new GenerationEvent.Failed(
                FailureCode.Unavailable, $"the gateway that has the answer was not reached for {Patience.TotalSeconds:0} s", 10));
        }
        else if (_silentTicks > 1)
        {
            Ask();
        }
    }

    private void End(GenerationEvent generationEvent)
    {
        _events.TryWrite(generationEvent);
        Context.Stop(Self);
    }

    private sealed record Encoded(int[] Tokens);

    private sealed class Tick
    {
        public static readonly Tick Instance = new();
    }
}
