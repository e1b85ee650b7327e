using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>
/// The client's messages on the wire: Hello [1, version, key] or, since version 2, [1, newest, key, oldest], Generate [2, request, prompt, sampling, maxTokens, ignoreEnd,
/// [stop, …]], Cancel [3, request], GetModel [4, request], Attach [5, request, id, last index].
/// </summary>
internal static class ClientMessageCodec
{
    private const int HelloNumber = 1;
    private const int GenerateNumber = 2;
    private const int CancelNumber = 3;
    private const int GetModelNumber = 4;
    private const int AttachNumber = 5;

    private const int MaxBiasedTokens = 1024;

    private const int TextPrompt = 0;
    private const int TokensPrompt = 1;
    private const int ChatPrompt = 2;

    public static void Write(ref MessagePackWriter writer, ClientMessage message)
    {
        switch (message)
        {
            case ClientMessage.Hello hello:
                bool range = hello.Newest >= TcpProtocol.Resumption;
                writer.WriteArrayHeader(range ? 4 : 3);
                writer.Write(HelloNumber);
                writer.Write(hello.Newest);
                writer.Write(hello.ApiKey);
                if (range)
                    writer.Write(hello.Oldest);
                break;
            case ClientMessage.Generate generate:
                writer.WriteArrayHeader(7);
                writer.Write(GenerateNumber);
                writer.Write(generate.Request);
                WritePrompt(ref writer, generate.Prompt);
                WriteSampling(ref writer, generate.Sampling);
                WireReader.WriteOptional(ref writer, generate.MaxTokens);
                writer.Write(generate.IgnoreEnd);
                writer.WriteArrayHeader(generate.StopStrings.Count);
                foreach (string stop in generate.StopStrings)
                    writer.Write(stop);
                break;
            case ClientMessage.Cancel cancel:
                writer.WriteArrayHeader(2);
                writer.Write(CancelNumber);
                writer.Write(cancel.Request);
                break;
            case ClientMessage.GetModel get:
                writer.WriteArrayHeader(2);
                writer.Write(GetModelNumber);
                writer.Write(get.Request);
                break;
            case ClientMessage.Attach attach:
                writer.WriteArrayHeader(4);
                writer.Write(AttachNumber);
                writer.Write(attach.Request);
                writer.Write(attach.Id);
                writer.Write(attach.LastIndex);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(message), message, "A message without a number.");
        }
    }

    public static ClientMessage Read(ref MessagePackReader reader)
    {
        int length = reader.ReadArrayHeader();
        int number = length > 0 ? reader.ReadInt32() : 0;
        return (number, length) switch
        {
            (HelloNumber, 3) => OldHello(reader.ReadInt32(), WireReader.ReadOptionalText(ref reader)),
            (HelloNumber, 4) => new ClientMessage.Hello(
                reader.ReadInt32(), WireReader.ReadOptionalText(ref reader), reader.ReadInt32()),
            (GenerateNumber, 7) => new ClientMessage.Generate(
                reader.ReadUInt32(),
                ReadPrompt(ref reader),
                ReadSampling(ref reader),
                WireReader.ReadOptionalInt32(ref reader),
                reader.ReadBoolean(),
                WireReader.ReadArrayOf(ref reader, WireReader.ReadText)),
            (CancelNumber, 2) => new ClientMessage.Cancel(reader.ReadUInt32()),
            (GetModelNumber, 2) => new ClientMessage.GetModel(reader.ReadUInt32()),
            (AttachNumber, 4) => new ClientMessage.Attach(
                reader.ReadUInt32(), WireReader.ReadText(ref reader), reader.ReadInt32()),
            _ => throw new TcpProtocolException(
                $"Version {TcpProtocol.Newest} has no client message {number} of {length} elements."),
        };
    }

    private static ClientMessage.Hello OldHello(int version, string? key) => new(version, key, version);

    /// <summary>A prompt: [0, text], [1, [token, …]] or [2, [[role, content], …]].</summary>
    private static void WritePrompt(ref MessagePackWriter writer, Prompt prompt)
    {
        writer.WriteArrayHeader(2);
        switch (prompt)
        {
            case Prompt.Text text:
                writer.Write(TextPrompt);
                writer.Write(text.Value);
                break;
            case Prompt.Tokens tokens:
                writer.Write(TokensPrompt);
                writer.WriteArrayHeader(tokens.Ids.Count);
                foreach (int id in tokens.Ids)
                    writer.Write(id);
                break;
            case Prompt.Chat chat:
                writer.Write(ChatPrompt);
                writer.WriteArrayHeader(chat.Messages.Count);
                foreach (ChatMessage turn in chat.Messages)
                {
                    writer.WriteArrayHeader(2);
                    writer.Write(turn.Role);
                    writer.Write(turn.Content);
                }

                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(prompt), prompt, "A prompt without a number.");
        }
    }

    private static Prompt ReadPrompt(ref MessagePackReader reader)
    {
        WireReader.ReadArray(ref reader, 2);
        int kind = reader.ReadInt32();
        return kind switch
        {
            TextPrompt => new Prompt.Text(WireReader.ReadText(ref reader)),
            TokensPrompt => new Prompt.Tokens(WireReader.ReadArrayOf(ref reader, (ref MessagePackReader id) => id.ReadInt32())),
            ChatPrompt => new Prompt.Chat(WireReader.ReadArrayOf(ref reader, ReadTurn)),
            _ => throw new TcpProtocolException($"There is no prompt of kind {kind}."),
        };
    }

    private static ChatMessage ReadTurn(ref MessagePackReader reader)
    {
        WireReader.ReadArray(ref reader, 2);
        return new ChatMessage(WireReader.ReadText(ref reader), WireReader.ReadText(ref reader));
    }

    /// <summary>
    /// Sampling: [temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, {token: bias, …}, seed,
    /// topLogProbs].
    /// </summary>
    private static void WriteSampling(ref MessagePackWriter writer, SamplingParameters sampling)
    {
        writer.WriteArrayHeader(10);
        writer.Write(sampling.Temperature);
        writer.Write(sampling.TopK);
        writer.Write(sampling.TopP);
        writer.Write(sampling.MinP);
        writer.Write(sampling.RepetitionPenalty);
        writer.Write(sampling.FrequencyPenalty);
        writer.Write(sampling.PresencePenalty);
        writer.WriteMapHeader(sampling.LogitBias.Count);
        foreach (var (token, bias) in sampling.LogitBias)
        {
            writer.Write(token);
            writer.Write(bias);
        }

        writer.Write(sampling.Seed);
        WireReader.WriteOptional(ref writer, sampling.TopLogProbs);
    }

    private static SamplingParameters ReadSampling(ref MessagePackReader reader)
    {
        WireReader.ReadArray(ref reader, 10);
        return new SamplingParameters
        {
            Temperature = reader.ReadSingle(),
            TopK = reader.ReadInt32(),
            TopP = reader.ReadSingle(),
            MinP = reader.ReadSingle(),
            RepetitionPenalty = reader.ReadSingle(),
            FrequencyPenalty = reader.ReadSingle(),
            PresencePenalty = reader.ReadSingle(),
            LogitBias = ReadLogitBias(ref reader),
            Seed = reader.ReadUInt64(),
            TopLogProbs = WireReader.ReadOptionalInt32(ref reader),
        };
    }

    private static Dictionary<int, float> ReadLogitBias(ref MessagePackReader reader)
    {
        int count = reader.ReadMapHeader();
        if (count > MaxBiasedTokens)
            throw new TcpProtocolException($"At most {MaxBiasedTokens} tokens can be biased, but got {count}.");
        var biases = new Dictionary<int, float>(count);
        for (int i = 0; i < count; i++)
        {
            int token = reader.ReadInt32();
            if (!biases.TryAdd(token, reader.ReadSingle()))
                throw new TcpProtocolException($"Token {token} is biased twice.");
        }

        return biases;
    }
}
