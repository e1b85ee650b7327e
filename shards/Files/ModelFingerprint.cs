using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files;

/// <summary>
/// Tells models apart without reading them: a SHA-256 over the configuration, the rotation speeds, each tensor's role, format and
/// shape, and the first, middle and last bytes of each tensor. Where the file lies and what it is called do not matter.
/// </summary>
internal static class ModelFingerprint
{
    /// <summary>Bytes of each sample of a tensor.</summary>
    internal const int SampleBytes = 1024;

    /// <summary>The fingerprint: 64 lower-case hex digits.</summary>
    public static string Compute(ModelFile model)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        LlamaConfig c = model.Config;
        Append(hash, string.Create(CultureInfo.InvariantCulture,
            $"llama hidden {c.HiddenSize} intermediate {c.IntermediateSize} layers {c.LayerCount} heads {c.HeadCount}/{c.KvHeadCount}x{c.HeadDim} "
            + $"vocabulary {c.VocabularySize} context {c.ContextLength} epsilon {c.RmsNormEpsilon:R} tied {c.TiedHead} "
            + $"bos {c.BosToken} eos {string.Join(',', c.EosTokens)} pairing {model.Pairing}\n"));

        Span<byte> number = stackalloc byte[sizeof(double)];
        foreach (double frequency in model.RopeFrequencies)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(number, frequency);
            hash.AppendData(number);
        }

        foreach ((TensorRole role, int layer) in TensorShapes.Required(c))
        {
            TensorData data = model.Tensor(role, layer);
            Append(hash, string.Create(CultureInfo.InvariantCulture, $"\n{role} {layer} {data.Format} {data.Rows} {data.Columns} "));
            foreach (long offset in SampleOffsets(data.ByteCount))
                AppendSample(hash, data, offset);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Where the samples of a tensor of so many bytes begin; they may overlap.</summary>
    internal static long[] SampleOffsets(long byteCount)
    {
        long last = Math.Max(0, byteCount - SampleBytes);
        return [0, last / 2, last];
    }

    private static void Append(IncrementalHash hash, string text) => hash.AppendData(Encoding.UTF8.GetBytes(text));

    private static unsafe void AppendSample(IncrementalHash hash, TensorData data, long offset) =>
        hash.AppendData(new ReadOnlySpan<byte>((byte*)data.Address + offset, (int)Math.Min(SampleBytes, data.ByteCount)));
}
