using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Tcp;

/// <summary>Serves one request of a TCP connection.</summary>
internal static class TcpRequest
{
    /// <summary>Runs the generation and sends what it yields; gives its last message. Does not throw.</summary>
    public static async Task<ServerMessage> ServeAsync(
        IInferenceService service,
        ClientMessage.Generate message,
        Func<ServerMessage, Task> send,
        ILogger logger,
        CancellationToken cancellationToken)
    {
        uint number = message.Request;
        int promptTokens = 0;
        int generatedTokens = 0;
        try
        {
            if (ProblemOf(message, service.Model.Tokenizer.VocabularySize) is { } problem)
                return new ServerMessage.Failed(number, FailureCode.InvalidRequest, problem, null);

            await using TextGeneration generation =
                await TextGeneration.StartAsync(service, RequestOf(message), message.StopStrings, cancellationToken);
            promptTokens = generation.PromptTokens;
            await send(new ServerMessage.Started(number, promptTokens));
            await foreach (TextEvent item in generation.ReadAsync(cancellationToken))
            {
                if (item is TextEvent.Finished finished)
                {
                    return new ServerMessage.Finished(
                        number, ReasonOf(finished), finished.Text, promptTokens, finished.GeneratedTokens, finished.CachedTokens);
                }

                generatedTokens++;
                await send(MessageOf(number, (TextEvent.Token)item, message.Sampling.TopLogProbs is not null));
                cancellationToken.ThrowIfCancellationRequested();
            }

            throw new InvalidOperationException("A generation ended without an end.");
        }
        catch (GenerationFailedException error)
        {
            return new ServerMessage.Failed(number, error.Failure.Code, error.Failure.Message, error.Failure.RetryAfterSeconds);
        }
        catch (OperationCanceledException)
        {
            return new ServerMessage.Finished(number, EndReason.Cancelled, "", promptTokens, generatedTokens, null);
        }
        catch (Exception error)
        {
            logger.LogError(error, "A request over TCP failed.");
            return new ServerMessage.Failed(
                number, FailureCode.Failed, "The gateway failed to handle the request; its log says why.", null);
        }
    }

    private static GenerationRequest RequestOf(ClientMessage.Generate message) => new()
    {
        Id = $"tcp-{Guid.NewGuid():N}",
        Prompt = message.Prompt,
        Sampling = message.Sampling,
        MaxTokens = message.MaxTokens,
        IgnoreEnd = message.IgnoreEnd,
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
