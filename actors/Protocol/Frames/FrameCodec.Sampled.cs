using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

// [kind, epoch, step, [row...]]
// row: [slot, sequence, index, token, log-probability, [token, log-probability, token, ...]]
internal static partial class FrameCodec
{
    private const int SampledElements = 4;
    private const int RowElements = 6;

    /// <summary>Writes sampled tokens; they have no payload.</summary>
    public static void WriteSampled(HeaderBuffer output, SampledTokens tokens)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Sampled, SampledElements);
        writer.Write(tokens.Epoch);
        writer.Write(tokens.Step);
        writer.WriteArrayHeader(tokens.Count);
        foreach (ref readonly SampledRow row in tokens.Rows)
        {
            writer.WriteArrayHeader(RowElements);
            writer.Write(row.Slot);
            writer.Write(row.Sequence);
            writer.Write(row.Index);
            writer.Write(row.Token.Token);
            writer.Write(row.Token.LogProb);
            writer.WriteArrayHeader(2 * row.TopCount);
            foreach (TokenLogProb top in tokens.TopOf(row))
            {
                writer.Write(top.Token);
                writer.Write(top.LogProb);
            }
        }

        writer.Flush();
    }

    /// <summary>Reads sampled tokens.</summary>
    public static void ReadSampled(ReadOnlyMemory<byte> header, SampledTokens tokens)
    {
        try
        {
            MessagePackReader reader = Open(header, FrameKind.Sampled, SampledElements);
            tokens.Reset(ReadLong(ref reader, "epoch"), ReadLong(ref reader, "step number"));
            Span<TokenLogProb> top = stackalloc TokenLogProb[SamplingParameters.MaxTopLogProbs];
            int rows = reader.ReadArrayHeader();
            for (int i = 0; i < rows; i++)
                ReadSampledRow(ref reader, tokens, top);
            Close(ref reader);
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            throw Malformed(FrameKind.Sampled, exception);
        }
    }

    private static void ReadSampledRow(ref MessagePackReader reader, SampledTokens tokens, scoped Span<TokenLogProb> top)
    {
        Elements(ref reader, RowElements, "a sampled row");
        int slot = ReadInt(ref reader, 0, FrameLimits.MaxSlots - 1, "slot");
        long sequence = ReadLong(ref reader, "sequence");
        int index = ReadInt(ref reader, 0, int.MaxValue, "token index");
        TokenLogProb token = ReadTokenLogProb(ref reader);
        int elements = reader.ReadArrayHeader();
        if (elements % 2 != 0 || elements > 2 * top.Length)
            throw new ProtocolException($"{elements} elements of alternatives: pairs, {top.Length} at most, were expected");
        top = top[..(elements / 2)];
        foreach (ref TokenLogProb alternative in top)
            alternative = ReadTokenLogProb(ref reader);
        tokens.Add(slot, sequence, index, token, top);
    }

    private static TokenLogProb ReadTokenLogProb(ref MessagePackReader reader) =>
        new(ReadInt(ref reader, 0, int.MaxValue, "token"), reader.ReadSingle());
}
