using Akka.Actor;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Scheduling;

namespace Llama3Cluster.Actors.Replicas;

/// <content>The requests in the replica's queue and at work.</content>
public sealed partial class ReplicaActor
{
    private void Enqueue(GenerationMessages.Enqueue request)
    {
        if (_scheduler.Find(request.GenerationId) is { } known)
        {
            // Its tokens are known, their log-probabilities are not: those are computed again.
            if (known.GeneratedCount <= request.Log.Length || request.Sampling.TopLogProbs is null)
            {
                Adopt(request);
                for (int i = request.Log.Length; i < known.GeneratedCount; i++)
                    request.Generation.Tell(new GenerationMessages.TokenSampled(request.GenerationId, i, known.Tokens[known.PromptLength + i], 0, null, known.CachedTokens ?? 0));
                return;
            }

            Withdraw(request.GenerationId);
        }

        var sequence = new Sequence(request.GenerationId, request.Prompt, request.Log, request.Sampling, request.MaxTokens, request.EndTokens.ToHashSet());
        int tokens = Math.Min(request.Prompt.Length + request.MaxTokens, _settings.ContextLength);
        if (_scheduler.IsWhole(sequence))
            Complete(request);
        else if (_pipeline.IsRefused)
            Refuse(request, FailureCode.Unavailable, _pipeline.Problem, 10);
        else if (!_scheduler.Fits(tokens))
            Refuse(request, FailureCode.ContextLengthExceeded, $"{request.Prompt.Length} prompt tokens and {request.MaxTokens} of the answer need more KV cache than the {_scheduler.BlockCount * 16} positions of the pipeline; ask for fewer tokens, or serve with more memory (--kv-tokens)", null);
        else if (!_scheduler.HasRoom)
            Refuse(request, FailureCode.QueueFull, $"{_scheduler.WaitingCount} requests wait already, the most that the queue takes", RetryAfter());
        else
        {
            Adopt(request);
            _scheduler.Submit(sequence);
            LimitTheWait();
            Pump();
        }
    }

    // Its gateway or replica was lost between the last token and the word that this was the last one.
    private static void Complete(GenerationMessages.Enqueue request)
    {
        request.Generation.Tell(new GenerationMessages.Enqueued(request.GenerationId));
        request.Generation.Tell(new GenerationMessages.Completed(request.GenerationId, FinishReason.Length, request.Log.Length, 0));
    }

    private void Adopt(GenerationMessages.Enqueue request)
    {
        if (_generations.TryGetValue(request.GenerationId, out IActorRef? before) && !before.Equals(request.Generation))
            Context.Unwatch(before);
        _generations[request.GenerationId] = request.Generation;
        Context.Watch(request.Generation);
        request.Generation.Tell(new GenerationMessages.Enqueued(request.GenerationId));
    }

    private static void Refuse(GenerationMessages.Enqueue request, FailureCode code, string reason, int? retryAfterSeconds) =>
        request.Generation.Tell(new GenerationMessages.Aborted(request.GenerationId, code, reason, retryAfterSeconds));

    // The queue empties at about the rate at which tokens are made; a guess, kept within a minute.
    private int RetryAfter()
    {
        double rate = _rate.PerSecond(Environment.TickCount64);
        return rate <= 0 ? 5 : (int)Math.Clamp(_scheduler.WaitingCount * 32 / rate, 1, 60);
    }

    private void Withdraw(string id)
    {
        Forget(id);
        _scheduler.Remove(id);
        Pump();
    }

    private IActorRef? Forget(string id)
    {
        if (_generations.Remove(id, out IActorRef? generation))
            Context.Unwatch(generation);
        return generation;
    }

    private void LimitTheWait()
    {
        if (!_pipeline.IsActive && _generations.Count > 0 && !Timers.IsTimerActive("waited"))
            Timers.StartSingleTimer("waited", WaitedTooLong.Instance, _settings.UnavailableAfter);
    }

    private void AbortWaiting(string reason)
    {
        if (_pipeline.IsActive)
            return;
        foreach (string id in _generations.Keys.ToList())
        {
            _scheduler.Remove(id);
            Forget(id)?.Tell(new GenerationMessages.Aborted(id, FailureCode.Unavailable, reason, 10));
        }
    }
}
