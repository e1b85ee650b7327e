using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Http.Requests;
using Llama3Cluster.Gateway.Http.Responses;
using Llama3Cluster.Gateway.Http.Security;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>Runs a completion job and answers with one response or a stream.</summary>
internal sealed class CompletionRunner(
    IInferenceService service, EndpointOptions options, GatewayDrain drain, ILogger<CompletionRunner> logger)
{
    /// <summary>Runs a job.</summary>
    /// <param name="context">The request.</param>
    /// <param name="id">The response's id.</param>
    /// <param name="job">What is asked for.</param>
    /// <param name="kind">The kind of response, as <see cref="Presentation"/> names it.</param>
    /// <param name="echoes">What the text of each choice begins with; null when the prompt is not echoed.</param>
    public async Task RunAsync(HttpContext context, string id, CompletionJob job, string kind, IReadOnlyList<string>? echoes)
    {
        context.Response.Headers["x-request-id"] = id;
        var presentation = new Presentation
        {
            Kind = kind,
            Created = DateTimeOffset.UtcNow.ToUnixTimeSeconds(),
            Choices = job.Choices,
            ChoicesPerPrompt = job.ChoicesPerPrompt,
            StopStrings = job.StopStrings,
            IncludeUsage = job.IncludeUsage,
            TopLogProbs = job.Sampling.TopLogProbs,
        };
        CompletionFormat format = FormatOf(id, presentation, echoes);
        IEnumerable<GenerationRequest> requests = job.Requests(
            id, ApiKeyMiddleware.OwnerOf(context), choice => presentation with { Echo = echoes?[choice] });
        using IDisposable running = drain.TryEnter() ?? throw Stopping();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, drain.Closing);
        try
        {
            await using ChoiceStream choices = await ChoiceStream.StartAsync(service, requests, job.StopStrings, ending.Token);
            if (job.Stream)
                await StreamAsync(context, presentation, format, choices, StreamPosition.Start(id, job.Choices), ending.Token);
            else
                await (await CollectAsync(job, format, choices)).ExecuteAsync(context);
        }
        catch (GenerationFailedException error)
        {
            throw ApiException.Of(error.Failure, job.PromptParameter);
        }
        catch (OperationCanceledException) when (drain.Closing.IsCancellationRequested && !context.Response.HasStarted)
        {
            throw Stopping();
        }
    }

    /// <summary>Goes on with a stream that was begun before, on this gateway or another one.</summary>
    /// <param name="context">The request.</param>
    /// <param name="id">The response's id.</param>
    /// <param name="position">What the client has; null for nothing.</param>
    public async Task ResumeAsync(HttpContext context, string id, StreamPosition? position)
    {
        context.Response.Headers["x-request-id"] = id;
        using IDisposable running = drain.TryEnter() ?? throw Stopping();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, drain.Closing);
        try
        {
            await using ChoiceStream choices =
                await ChoiceStream.ResumeAsync(service, id, ApiKeyMiddleware.OwnerOf(context), ending.Token);
            Presentation presentation = choices.Presentation!;
            if (presentation.Kind is not (Presentation.Chat or Presentation.Text))
                throw new ApiException(StatusCodes.Status404NotFound, $"'{id}' was not asked for over HTTP.", null, "generation_not_found");
            if (position?.Choices is { } seen && seen != presentation.Choices)
            {
                throw ApiException.InvalidValue(
                    "Last-Event-ID", $"it has the positions of {seen} choices, but '{id}' has {presentation.Choices}.");
            }

            CompletionFormat format = FormatOf(id, presentation, choices.Echoes);
            position ??= StreamPosition.Start(id, presentation.Choices);
            await StreamAsync(context, presentation, format, choices, position, ending.Token);
        }
        catch (GenerationFailedException error)
        {
            throw ApiException.Of(error.Failure, "id");
        }
        catch (OperationCanceledException) when (drain.Closing.IsCancellationRequested && !context.Response.HasStarted)
        {
            throw Stopping();
        }
    }

    private static ApiException Stopping() => new(
        StatusCodes.Status503ServiceUnavailable, "This gateway is stopping. Send the request to another one.", null, "stopping")
    {
        RetryAfterSeconds = 1,
    };

    private CompletionFormat FormatOf(string id, Presentation presentation, IReadOnlyList<string>? echoes) =>
        presentation.Kind == Presentation.Chat
            ? new ChatFormat(service.Model, id, presentation.Created, presentation.IncludeUsage)
            : new TextFormat(
                service.Model, id, presentation.Created, presentation.IncludeUsage, presentation.TopLogProbs, echoes);

    private async Task<IResult> CollectAsync(CompletionJob job, CompletionFormat format, ChoiceStream choices)
    {
        var usage = new UsageCounter(choices.PromptTokens, job.ChoicesPerPrompt);
        var writers = choices.PromptTokens.Select(_ => new ChoiceText(Aligner(job.Sampling.TopLogProbs))).ToArray();
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

    private async Task StreamAsync(
        HttpContext context,
        Presentation presentation,
        CompletionFormat format,
        ChoiceStream choices,
        StreamPosition position,
        CancellationToken ending)
    {
        HttpResponse response = context.Response;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";
        // Reverse proxies of the nginx kind hold a stream back without it.
        response.Headers["X-Accel-Buffering"] = "no";
        using var stream = new EventStreamWriter(response.BodyWriter, position);
        try
        {
            await WriteChoicesAsync(stream, presentation, format, choices, position, ending);
            stream.WriteDone();
        }
        catch (GenerationFailedException error)
        {
            stream.WriteError(ApiException.Of(error.Failure, presentation.Kind == Presentation.Chat ? "messages" : "prompt").Detail);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            logger.LogError(error, "The stream {Id} failed.", response.Headers["x-request-id"].ToString());
            stream.WriteError(ErrorMiddleware.Internal().Detail);
        }

        await stream.FlushAsync(context.RequestAborted);
    }

    private async Task WriteChoicesAsync(
        EventStreamWriter stream,
        Presentation presentation,
        CompletionFormat format,
        ChoiceStream choices,
        StreamPosition position,
        CancellationToken cancellationToken)
    {
        var usage = new UsageCounter(choices.PromptTokens, presentation.ChoicesPerPrompt);
        LogProbAligner?[] aligners = [.. choices.PromptTokens.Select(_ => Aligner(presentation.TopLogProbs))];
        int[] tokens = new int[aligners.Length];
        for (int choice = 0; choice < aligners.Length; choice++)
            format.WriteOpening(stream, choice);
        await stream.FlushAsync(cancellationToken);

        await using IAsyncEnumerator<ChoiceEvent> events = choices.ReadAsync().GetAsyncEnumerator(cancellationToken);
        while (await NextAsync(events, stream, cancellationToken))
        {
            (int choice, TextEvent item) = events.Current;
            position.MoveTo(choice, tokens[choice]);
            WriteEvent(stream, format, choice, item, aligners[choice]);
            if (item is TextEvent.Finished finished)
            {
                usage.Add(choice, finished);
                position.MoveTo(choice, tokens[choice] + 1);
                format.WriteFinish(stream, choice, NameOf(finished));
            }
            else
            {
                tokens[choice]++;
            }
        }

        position.MoveTo(0, tokens[0] + 2);
        if (presentation.IncludeUsage)
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

    private LogProbAligner? Aligner(int? topLogProbs) => topLogProbs is null ? null : new LogProbAligner(service.Model.Tokenizer);

    private static string NameOf(TextEvent.Finished finished) => finished.StoppedByModel ? "stop" : "length";
}
