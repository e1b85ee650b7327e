using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda.Attention;
using Llama3Cluster.Kernels.Gpu.Cuda.Products;
using Llama3Cluster.Kernels.Gpu.Cuda.Rows;
using Llama3Cluster.Kernels.Gpu.Cuda.Tiles;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Operations;

namespace Llama3Cluster.Kernels.Gpu.Cuda;

/// <summary>The kernels for NVIDIA GPUs with tensor cores for bfloat16 (compute capability 8.0 and later).</summary>
internal static class CudaKernels
{
    private static readonly Dictionary<WeightFormat, KernelEntry<ProductParameters>> Decode8 = [], Decode16 = [], Prefill = [];

    private static readonly Dictionary<(KvFormat, int), KernelEntry<CudaAttentionArgs>> Attend = new()
    {
        [(KvFormat.F16, 64)] = AttentionOf("F16 64", CudaAttention.Run<HalfElement, Heads64>),
        [(KvFormat.F16, 128)] = AttentionOf("F16 128", CudaAttention.Run<HalfElement, Heads128>),
        [(KvFormat.BF16, 64)] = AttentionOf("BF16 64", CudaAttention.Run<Bf16Element, Heads64>),
        [(KvFormat.BF16, 128)] = AttentionOf("BF16 128", CudaAttention.Run<Bf16Element, Heads128>),
    };

    private static readonly KernelEntry<CudaAttentionArgs> Merge64 = MergeOf(Heads64.Elements, SpanMerging.Run<Heads64>);
    private static readonly KernelEntry<CudaAttentionArgs> Merge128 = MergeOf(Heads128.Elements, SpanMerging.Run<Heads128>);

    static CudaKernels()
    {
        Add<F16Tile, PairRegisters, NoScales>(WeightFormat.F16);
        Add<Bf16Tile, PairRegisters, NoScales>(WeightFormat.BF16);
        Add<Q8Tile, PairBytes, U2>(WeightFormat.Q8_0);
        Add<Q4Tile, U4, U2>(WeightFormat.Q4_0);
        Add<Q4KTile, U4, KScales>(WeightFormat.Q4_K);
        Add<Q5KTile, FiveBits, KScales>(WeightFormat.Q5_K);
        Add<Q6KTile, SixBits, Q6Scales>(WeightFormat.Q6_K);
    }

    /// <summary>Rows made ready in bfloat16, as they are.</summary>
    public static KernelEntry<RowParameters> PlainBf16 { get; } = Row("rows bf16", RowKernel.Run16<PlainRows, Bf16Activations>);

    /// <summary>Rows made ready in half precision, as they are.</summary>
    public static KernelEntry<RowParameters> PlainHalf { get; } = Row("rows f16", RowKernel.Run16<PlainRows, HalfActivations>);

    /// <summary>RMSNorm to bfloat16.</summary>
    public static KernelEntry<RowParameters> NormedBf16 { get; } = Row("rms-norm rows bf16", RowKernel.Run16<NormedRows, Bf16Activations>);

    /// <summary>RMSNorm to half precision.</summary>
    public static KernelEntry<RowParameters> NormedHalf { get; } = Row("rms-norm rows f16", RowKernel.Run16<NormedRows, HalfActivations>);

    /// <summary>SwiGLU to bfloat16.</summary>
    public static KernelEntry<RowParameters> GatedBf16 { get; } = Row("swiglu rows bf16", RowKernel.Run16<GatedRows, Bf16Activations>);

    /// <summary>SwiGLU to half precision.</summary>
    public static KernelEntry<RowParameters> GatedHalf { get; } = Row("swiglu rows f16", RowKernel.Run16<GatedRows, HalfActivations>);

    /// <summary>The kernel that makes rows ready.</summary>
    public static KernelEntry<RowParameters> Rows(LinearInputKind kind, bool bf16) => (kind, bf16) switch
    {
        (LinearInputKind.Normed, true) => NormedBf16,
        (LinearInputKind.Normed, false) => NormedHalf,
        (LinearInputKind.Gated, true) => GatedBf16,
        (LinearInputKind.Gated, false) => GatedHalf,
        (_, true) => PlainBf16,
        _ => PlainHalf,
    };

    /// <summary>Whether there is attention for a cache of this format and heads of this size.</summary>
    public static bool HasAttention(KvFormat format, int headDim) => Attend.ContainsKey((format, headDim));

    /// <summary>Attention over half-precision or bfloat16 caches with heads of 64 or 128.</summary>
    public static KernelEntry<CudaAttentionArgs> Attention(KvFormat format, int headDim) => Attend[(format, headDim)];

    /// <summary>Merges the spans of heads of 64 or 128.</summary>
    public static KernelEntry<CudaAttentionArgs> Merge(int headDim) => headDim == Heads64.Elements ? Merge64 : Merge128;

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries =>
    [
        PlainBf16, PlainHalf, NormedBf16, NormedHalf, GatedBf16, GatedHalf, .. Decode8.Values, .. Decode16.Values, .. Prefill.Values,
        .. Attend.Values, Merge64, Merge128,
    ];

    /// <summary>The product for so many rows by weights of a format.</summary>
    public static KernelEntry<ProductParameters> Product(WeightFormat format, int rows) => rows switch
    {
        <= ActivationLayout.GroupRows => Decode8[format],
        <= DecodeProduct.MaxRows => Decode16[format],
        _ => Prefill[format],
    };

    private static void Add<TFormat, TPacked, TScales>(WeightFormat format)
        where TFormat : struct, ITileFormat<TPacked, TScales>
        where TPacked : struct
        where TScales : struct
    {
        // Weights of 16 bits are loaded into many registers at once; of smaller ones more warps have theirs under way.
        int decodeGroups = TFormat.TileBytes > TileLayout.Rows * TileLayout.Columns * 3 / 2 ? 2 : 3;
        const int ManyRowsGroups = 2, PrefillGroups = 1;
        Decode8[format] = new(
            new($"decode 8 {format}", DecodeProduct.Threads, decodeGroups, Hot: true, KernelTarget.Sm80),
            DecodeProduct.Run<TFormat, TPacked, TScales, UpTo8Rows>);
        Decode16[format] = new(
            new($"decode 16 {format}", DecodeProduct.Threads, ManyRowsGroups, Hot: true, KernelTarget.Sm80),
            DecodeProduct.Run<TFormat, TPacked, TScales, UpTo16Rows>);
        Prefill[format] = new(
            new($"prefill {format}", PrefillProduct.Threads, PrefillGroups, Hot: true, KernelTarget.Sm80),
            PrefillProduct.Run<TFormat, TPacked, TScales>);
    }

    private static KernelEntry<CudaAttentionArgs> AttentionOf(string name, Action<CudaAttentionArgs> kernel) =>
        new(new($"attention {name}", CudaAttention.Threads, MinGroups: 2, Hot: true, KernelTarget.Sm80), kernel);

    private static KernelEntry<CudaAttentionArgs> MergeOf(int elements, Action<CudaAttentionArgs> kernel) =>
        new(new($"attention merge {elements}", elements, MinGroups: 8, Hot: true, KernelTarget.Sm80), kernel);

    private static KernelEntry<RowParameters> Row(string name, Action<RowParameters> kernel) =>
        new(new(name, RowKernel.Threads, MinGroups: 4, Hot: true, KernelTarget.Sm80), kernel);
}
