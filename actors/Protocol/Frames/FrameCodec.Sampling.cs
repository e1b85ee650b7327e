using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

// sampling: [temperature, top-k, top-p, min-p, repetition, frequency, presence, {token: bias}, seed, top log-probabilities | nil]
internal static partial class FrameCodec
{
    private const int SamplingElements = 10;

    /// <summary>Writes sampling parameters, as part of a frame or of another message.</summary>
    public static void WriteSampling(ref MessagePackWriter writer, SamplingParameters sampling)
    {
        writer.WriteArrayHeader(SamplingElements);
        writer.Write(sampling.Temperature);
        writer.Write(sampling.TopK);
        writer.Write(sampling.TopP);
        writer.Write(sampling.MinP);
        writer.Write(sampling.RepetitionPenalty);
        writer.Write(sampling.FrequencyPenalty);
        writer.Write(sampling.PresencePenalty);
        writer.WriteMapHeader(sampling.LogitBias.Count);
        foreach ((int token, float bias) in sampling.LogitBias)
        {
            writer.Write(token);
            writer.Write(bias);
        }

        writer.Write(sampling.Seed);
        if (sampling.TopLogProbs is int top)
            writer.Write(top);
        else
            writer.WriteNil();
    }

    /// <summary>Reads sampling parameters or nil; each must be within its range.</summary>
    public static SamplingParameters? ReadSampling(ref MessagePackReader reader)
    {
        if (reader.TryReadNil())
            return null;

        Elements(ref reader, SamplingElements, "sampling parameters");
        return new SamplingParameters
        {
            Temperature = ReadFloat(ref reader, 0, 100, "temperature"),
            TopK = ReadInt(ref reader, 0, int.MaxValue, "top-k"),
            TopP = ReadFloat(ref reader, float.Epsilon, 1, "top-p"),
            MinP = ReadFloat(ref reader, 0, 1, "min-p"),
            RepetitionPenalty = ReadFloat(ref reader, float.Epsilon, 10, "repetition penalty"),
            FrequencyPenalty = ReadFloat(ref reader, -2, 2, "frequency penalty"),
            PresencePenalty = ReadFloat(ref reader, -2, 2, "presence penalty"),
            LogitBias = ReadLogitBias(ref reader),
            Seed = reader.ReadUInt64(),
            TopLogProbs = reader.TryReadNil() ? null : ReadInt(ref reader, 0, SamplingParameters.MaxTopLogProbs, "top log-probabilities"),
        };
    }

    private static Dictionary<int, float> ReadLogitBias(ref MessagePackReader reader)
    {
        // ReadMapHeader has checked the count against the bytes that are left; the dictionary still grows only as entries come.
        int count = reader.ReadMapHeader();
        var biases = new Dictionary<int, float>();
        for (int i = 0; i < count; i++)
        {
            int token = ReadInt(ref reader, 0, int.MaxValue, "biased token");
            if (!biases.TryAdd(token, ReadFloat(ref reader, -100, 100, "logit bias")))
                throw new ProtocolException($"two logit biases for token {token}");
        }

        return biases;
    }
}
