using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Http.Requests;
using Llama3Cluster.Gateway.Http.Responses;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>Runs a completion job and answers with one response or a stream.</summary>
internal sealed class CompletionRunner(IInferenceService service, EndpointOptions options, ILogger<CompletionRunner> logger)
{
    /// <summary>Runs a job.</summary>
    public async Task RunAsync(HttpContext context, string id, CompletionJob job, CompletionFormat format)
    {
        context.Response.Headers["x-request-id"] = id;
        try
        {
            await using ChoiceStream choices =
                await ChoiceStream.StartAsync(service, job.Requests(id), job.StopStrings, context.RequestAborted);
            if (job.Stream)
                await StreamAsync(context, job, format, choices);
            else
                await (await CollectAsync(job, format, choices)).ExecuteAsync(context);
        }
        catch (GenerationFailedException error)
        {
            throw ApiException.Of(error.Failure, job.PromptParameter);
        }
    }

    private async Task<IResult> CollectAsync(CompletionJob job, CompletionFormat format, ChoiceStream choices)
    {
        var usage = new UsageCounter(choices.PromptTokens, job.ChoicesPerPrompt);
        var writers = choices.PromptTokens.Select(_ => new ChoiceText(Aligner(job))).ToArray();
        var completed = new CompletedChoice[writers.Length];
        await foreach ((int choice, TextEvent item) in choices.ReadAsync())
        {
            writers[choice].Add(item);
            if (item is TextEvent.Finished finished)
            {
                usage.Add(choice, finished);
                completed[choice] = new CompletedChoice(writers[choice].Text, writers[choice].Tokens, NameOf(finished));
            }
        }

        return format.Whole(completed, usage.Total());
    }

    private async Task StreamAsync(HttpContext context, CompletionJob job, CompletionFormat format, ChoiceStream choices)
    {
        HttpResponse response = context.Response;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";
        // Reverse proxies of the nginx kind hold a stream back without it.
        response.Headers["X-Accel-Buffering"] = "no";
        using var stream = new EventStreamWriter(response.BodyWriter);
        try
        {
            await WriteChoicesAsync(stream, job, format, choices, context.RequestAborted);
            stream.WriteDone();
        }
        catch (GenerationFailedException error)
        {
            stream.Write(
                new ErrorResponse(ApiException.Of(error.Failure, job.PromptParameter).Detail), ApiJson.Web.ErrorResponse);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            logger.LogError(error, "The stream {Id} failed.", response.Headers["x-request-id"].ToString());
            stream.Write(new ErrorResponse(ErrorMiddleware.Internal().Detail), ApiJson.Web.ErrorResponse);
        }

        await stream.FlushAsync(context.RequestAborted);
    }

    private async Task WriteChoicesAsync(
        EventStreamWriter stream,
        CompletionJob job,
        CompletionFormat format,
        ChoiceStream choices,
        CancellationToken cancellationToken)
    {
        var usage = new UsageCounter(choices.PromptTokens, job.ChoicesPerPrompt);
        LogProbAligner?[] aligners = [.. choices.PromptTokens.Select(_ => Aligner(job))];
        for (int choice = 0; choice < aligners.Length; choice++)
            format.WriteOpening(stream, choice);
        await stream.FlushAsync(cancellationToken);

        await using IAsyncEnumerator<ChoiceEvent> events = choices.ReadAsync().GetAsyncEnumerator(cancellationToken);
        while (await NextAsync(events, stream, cancellationToken))
        {
            (int choice, TextEvent item) = events.Current;
            WriteEvent(stream, format, choice, item, aligners[choice]);
            if (item is TextEvent.Finished finished)
            {
                usage.Add(choice, finished);
                format.WriteFinish(stream, choice, NameOf(finished));
            }
        }

        if (job.IncludeUsage)
            format.WriteUsage(stream, usage.Total());
    }

    private static void WriteEvent(
        EventStreamWriter stream, CompletionFormat format, int choice, TextEvent item, LogProbAligner? aligner)
    {
        (string text, List<GenerationEvent.TokenGenerated>? tokens) = ChoiceText.Read(item, aligner);
        if (text.Length > 0 || tokens is { Count: > 0 })
            format.WriteText(stream, choice, text, tokens);
    }

    /// <summary>
    /// Waits for the next event; sends what is written before it has to wait, and comments while it waits long.
    /// </summary>
    private async ValueTask<bool> NextAsync(
        IAsyncEnumerator<ChoiceEvent> events, EventStreamWriter stream, CancellationToken cancellationToken)
    {
        ValueTask<bool> pending = events.MoveNextAsync();
        if (pending.IsCompleted && !stream.ShouldFlush)
            return await pending;
        Task<bool> next = pending.AsTask();
        try
        {
            await stream.FlushAsync(cancellationToken);
            while (true)
            {
                try
                {
                    return await next.WaitAsync(options.KeepAliveInterval, cancellationToken);
                }
                catch (TimeoutException) when (!next.IsCompleted)
                {
                    stream.WriteKeepAlive();
                    await stream.FlushAsync(cancellationToken);
                }
            }
        }
        finally
        {
            // Only a client that left gets here with the read under way, and its cancellation ends the read.
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private LogProbAligner? Aligner(CompletionJob job) =>
        job.Sampling.TopLogProbs is null ? null : new LogProbAligner(service.Model.Tokenizer);

    private static string NameOf(TextEvent.Finished finished) => finished.StoppedByModel ? "stop" : "length";
}
