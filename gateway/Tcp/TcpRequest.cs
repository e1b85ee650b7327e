using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Security;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Tcp;

/// <summary>Serves one request of a TCP connection.</summary>
/// <param name="service">The cluster.</param>
/// <param name="number">The request's number on the connection.</param>
/// <param name="owner">Whom it belongs to.</param>
/// <param name="resumable">Whether the answer outlives the connection.</param>
/// <param name="send">Sends a message to the client.</param>
/// <param name="logger">Where errors of the gateway go.</param>
internal sealed class TcpRequest(
    IInferenceService service, uint number, string owner, bool resumable, Func<ServerMessage, Task> send, ILogger logger)
{
    private int _promptTokens;
    private int _generatedTokens;

    /// <summary>Runs the generation and sends what it yields; gives its last message. Does not throw.</summary>
    public async Task<ServerMessage> ServeAsync(ClientMessage message, CancellationToken cancellationToken)
    {
        try
        {
            return message switch
            {
                ClientMessage.Generate generate => await GenerateAsync(generate, cancellationToken),
                ClientMessage.Attach attach => await AttachAsync(attach, cancellationToken),
                _ => throw new ArgumentOutOfRangeException(nameof(message), message, "not a request"),
            };
        }
        catch (GenerationFailedException error)
        {
            return new ServerMessage.Failed(number, error.Failure.Code, error.Failure.Message, error.Failure.RetryAfterSeconds);
        }
        catch (OperationCanceledException)
        {
            return new ServerMessage.Finished(number, EndReason.Cancelled, "", _promptTokens, _generatedTokens, null);
        }
        catch (Exception error)
        {
            logger.LogError(error, "A request over TCP failed.");
            return new ServerMessage.Failed(
                number, FailureCode.Failed, "The gateway failed to handle the request; its log says why.", null);
        }
    }

    private async Task<ServerMessage> GenerateAsync(ClientMessage.Generate message, CancellationToken cancellationToken)
    {
        if (ProblemOf(message, service.Model.Tokenizer.VocabularySize) is { } problem)
            return new ServerMessage.Failed(number, FailureCode.InvalidRequest, problem, null);
        await using TextGeneration generation =
            await TextGeneration.StartAsync(service, RequestOf(message), message.StopStrings, cancellationToken);
        return await TellAsync(generation, message.Sampling.TopLogProbs is not null, -1, cancellationToken);
    }

    private async Task<ServerMessage> AttachAsync(ClientMessage.Attach message, CancellationToken cancellationToken)
    {
        var unknown = new ServerMessage.Failed(number, FailureCode.NotFound, $"There is no answer '{message.Id}', or not any more.", null);
        if (!GenerationIds.IsWellFormed(message.Id))
            return unknown with { Reason = "There is no such answer." };
        await using TextGeneration generation = await TextGeneration.ResumeAsync(service, message.Id, owner, cancellationToken);
        if (generation.Presentation!.Kind != Presentation.Tcp)
            return unknown;
        return await TellAsync(generation, generation.Presentation.TopLogProbs is not null, message.LastIndex, cancellationToken);
    }

    private async Task<ServerMessage> TellAsync(
        TextGeneration generation, bool logProbs, int lastIndex, CancellationToken cancellationToken)
    {
        _promptTokens = generation.PromptTokens;
        await send(new ServerMessage.Started(number, _promptTokens, resumable ? generation.Id : null));
        await foreach (TextEvent item in generation.ReadAsync(cancellationToken))
        {
            if (item is TextEvent.Finished finished)
            {
                return new ServerMessage.Finished(
                    number, ReasonOf(finished), finished.Text, _promptTokens, finished.GeneratedTokens, finished.CachedTokens);
            }

            var token = (TextEvent.Token)item;
            _generatedTokens++;
            if (token.Generated.Index > lastIndex)
                await send(MessageOf(number, token, logProbs));
            cancellationToken.ThrowIfCancellationRequested();
        }

        throw new InvalidOperationException("A generation ended without an end.");
    }

    private GenerationRequest RequestOf(ClientMessage.Generate message) => new()
    {
        Id = GenerationIds.New("tcp"),
        Prompt = message.Prompt,
        Sampling = message.Sampling,
        MaxTokens = message.MaxTokens,
        IgnoreEnd = message.IgnoreEnd,
        Owner = owner,
        Resumable = resumable,
        Presentation = new Presentation
        {
            Kind = Presentation.Tcp,
            StopStrings = message.StopStrings,
            TopLogProbs = message.Sampling.TopLogProbs,
        }.Write(),
    };

    private static string? ProblemOf(ClientMessage.Generate message, int vocabularySize)
    {
        if (message.Sampling.Validate(vocabularySize) is [var error, ..])
            return error.Message;
        if (message.MaxTokens < 1)
            return $"The answer's limit must be at least 1 token, but is {message.MaxTokens}.";
        return StopStrings.ProblemOf(message.StopStrings) ?? message.Prompt switch
        {
            Prompt.Text { Value.Length: 0 } or Prompt.Tokens { Ids.Count: 0 } or Prompt.Chat { Messages.Count: 0 } =>
                "The prompt is empty.",
            Prompt.Tokens tokens when tokens.Ids.Any(id => id < 0 || id >= vocabularySize) =>
                $"The prompt's tokens must be 0 to {vocabularySize - 1}.",
            Prompt.Chat chat when chat.Messages.FirstOrDefault(turn => !HasKnownRole(turn)) is { } turn =>
                $"A message's role is 'system', 'user' or 'assistant', but one has '{turn.Role}'.",
            _ => null,
        };
    }

    private static bool HasKnownRole(ChatMessage turn) => turn.Role is "system" or "user" or "assistant";

    private static EndReason ReasonOf(TextEvent.Finished finished)
    {
        if (finished.StopStringMatched)
            return EndReason.StopString;
        return finished.StoppedByModel ? EndReason.EndToken : EndReason.Length;
    }

    private static ServerMessage.Token MessageOf(uint number, TextEvent.Token item, bool logProbs)
    {
        var (index, token, top) = item.Generated;
        return new ServerMessage.Token(number, index, token.Token, item.Text, logProbs ? token.LogProb : null, top);
    }
}
