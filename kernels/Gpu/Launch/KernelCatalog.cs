using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Gpu.Kernels;

namespace Llama3Cluster.Kernels.Gpu.Launch;

/// <summary>Every kernel that the program may launch, once: for the tests that compile and assemble them all.</summary>
internal static class KernelCatalog
{
    /// <summary>All entries.</summary>
    public static IReadOnlyList<KernelEntry> All { get; } =
    [
        .. EmbeddingKernels.Entries,
        .. RowKernels.Entries,
        CandidateKernel.Entry,
        .. LinearKernels.Entries,
        .. RotationKernels.Entries,
        .. KvAppendKernels.Entries,
        .. AttentionKernels.Entries,
        .. CudaKernels.Entries,
    ];
}
