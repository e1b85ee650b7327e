using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>
/// The endpoint's messages on the wire: Welcome [1, version], Started [2, request, promptTokens] or, since version 2,
/// [2, request, promptTokens, id], Token [3, request, index, id,
/// text, logProb, [[id, logProb], …]], Finished [4, request, reason, text, promptTokens, generatedTokens, cachedTokens], Failed
/// [5, request, code, reason, retryAfterSeconds], Model [6, request, name, contextLength, vocabularySize, hasChatFormat,
/// fingerprint], Goodbye [7, reason].
/// </summary>
internal static class ServerMessageCodec
{
    private const int WelcomeNumber = 1;
    private const int StartedNumber = 2;
    private const int TokenNumber = 3;
    private const int FinishedNumber = 4;
    private const int FailedNumber = 5;
    private const int ModelNumber = 6;
    private const int GoodbyeNumber = 7;

    private static readonly (EndReason Reason, string Name)[] Reasons =
    [
        (EndReason.EndToken, "end_token"), (EndReason.StopString, "stop_string"),
        (EndReason.Length, "length"), (EndReason.Cancelled, "cancelled"),
    ];

    private static readonly (FailureCode Code, string Name)[] Codes =
    [
        (FailureCode.InvalidRequest, "invalid_request"), (FailureCode.ContextLengthExceeded, "context_length_exceeded"),
        (FailureCode.QueueFull, "queue_full"), (FailureCode.Unavailable, "unavailable"), (FailureCode.Failed, "failed"), (FailureCode.NotFound, "not_found"),
    ];

    public static void Write(ref MessagePackWriter writer, ServerMessage message)
    {
        switch (message)
        {
            case ServerMessage.Welcome welcome:
                writer.WriteArrayHeader(2);
                writer.Write(WelcomeNumber);
                writer.Write(welcome.Version);
                break;
            case ServerMessage.Started started:
                writer.WriteArrayHeader(started.Id is null ? 3 : 4);
                writer.Write(StartedNumber);
                writer.Write(started.Request);
                writer.Write(started.PromptTokens);
                if (started.Id is not null)
                    writer.Write(started.Id);
                break;
            case ServerMessage.Token token:
                WriteToken(ref writer, token);
                break;
            case ServerMessage.Finished finished:
                writer.WriteArrayHeader(7);
                writer.Write(FinishedNumber);
                writer.Write(finished.Request);
                writer.Write(Reasons.First(item => item.Reason == finished.Reason).Name);
                writer.Write(finished.Text);
                writer.Write(finished.PromptTokens);
                writer.Write(finished.GeneratedTokens);
                WireReader.WriteOptional(ref writer, finished.CachedTokens);
                break;
            case ServerMessage.Failed failed:
                writer.WriteArrayHeader(5);
                writer.Write(FailedNumber);
                writer.Write(failed.Request);
                writer.Write(Codes.First(item => item.Code == failed.Code).Name);
                writer.Write(failed.Reason);
                WireReader.WriteOptional(ref writer, failed.RetryAfterSeconds);
                break;
            case ServerMessage.Model model:
                writer.WriteArrayHeader(7);
                writer.Write(ModelNumber);
                writer.Write(model.Request);
                writer.Write(model.Name);
                writer.Write(model.ContextLength);
                writer.Write(model.VocabularySize);
                writer.Write(model.HasChatFormat);
                writer.Write(model.Fingerprint);
                break;
            case ServerMessage.Goodbye goodbye:
                writer.WriteArrayHeader(2);
                writer.Write(GoodbyeNumber);
                writer.Write(goodbye.Reason);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(message), message, "A message without a number.");
        }
    }

    public static ServerMessage Read(ref MessagePackReader reader)
    {
        int length = reader.ReadArrayHeader();
        int number = length > 0 ? reader.ReadInt32() : 0;
        return (number, length) switch
        {
            (WelcomeNumber, 2) => new ServerMessage.Welcome(reader.ReadInt32()),
            (StartedNumber, 3) => new ServerMessage.Started(reader.ReadUInt32(), reader.ReadInt32(), null),
            (StartedNumber, 4) => new ServerMessage.Started(
                reader.ReadUInt32(), reader.ReadInt32(), WireReader.ReadText(ref reader)),
            (TokenNumber, 7) => new ServerMessage.Token(
                reader.ReadUInt32(),
                reader.ReadInt32(),
                reader.ReadInt32(),
                WireReader.ReadText(ref reader),
                reader.TryReadNil() ? null : reader.ReadSingle(),
                WireReader.ReadArrayOf(ref reader, ReadLogProb)),
            (FinishedNumber, 7) => new ServerMessage.Finished(
                reader.ReadUInt32(),
                ReadName(ref reader, Reasons),
                WireReader.ReadText(ref reader),
                reader.ReadInt32(),
                reader.ReadInt32(),
                WireReader.ReadOptionalInt32(ref reader)),
            (FailedNumber, 5) => new ServerMessage.Failed(
                reader.ReadUInt32(),
                ReadName(ref reader, Codes),
                WireReader.ReadText(ref reader),
                WireReader.ReadOptionalInt32(ref reader)),
            (ModelNumber, 7) => new ServerMessage.Model(
                reader.ReadUInt32(),
                WireReader.ReadText(ref reader),
                reader.ReadInt32(),
                reader.ReadInt32(),
                reader.ReadBoolean(),
                WireReader.ReadText(ref reader)),
            (GoodbyeNumber, 2) => new ServerMessage.Goodbye(WireReader.ReadText(ref reader)),
            _ => throw new TcpProtocolException(
                $"Version {TcpProtocol.Newest} has no server message {number} of {length} elements."),
        };
    }

    private static void WriteToken(ref MessagePackWriter writer, ServerMessage.Token token)
    {
        writer.WriteArrayHeader(7);
        writer.Write(TokenNumber);
        writer.Write(token.Request);
        writer.Write(token.Index);
        writer.Write(token.Id);
        writer.Write(token.Text);
        if (token.LogProb is { } logProb)
            writer.Write(logProb);
        else
            writer.WriteNil();
        writer.WriteArrayHeader(token.Top.Count);
        foreach (TokenLogProb top in token.Top)
        {
            writer.WriteArrayHeader(2);
            writer.Write(top.Token);
            writer.Write(top.LogProb);
        }
    }

    private static TokenLogProb ReadLogProb(ref MessagePackReader reader)
    {
        WireReader.ReadArray(ref reader, 2);
        return new TokenLogProb(reader.ReadInt32(), reader.ReadSingle());
    }

    private static T ReadName<T>(ref MessagePackReader reader, (T Value, string Name)[] names)
    {
        string name = WireReader.ReadText(ref reader);
        foreach ((T value, string candidate) in names)
        {
            if (candidate == name)
                return value;
        }

        throw new TcpProtocolException($"'{name}' is none of {string.Join(", ", names.Select(item => item.Name))}.");
    }
}
