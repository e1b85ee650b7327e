using System.Reflection;

namespace Llama3Cluster.Kernels.Gpu.Launch;

/// <summary>Which devices a kernel is compiled for.</summary>
internal enum KernelTarget
{
    /// <summary>Every OpenCL and CUDA device.</summary>
    Portable,

    /// <summary>NVIDIA GPUs of compute capability 8.0 or newer: tensor cores with bfloat16, asynchronous copies.</summary>
    Sm80,

    /// <summary>NVIDIA GPUs of compute capability 9.0.</summary>
    Sm90,
}

/// <summary>How a kernel is compiled and launched.</summary>
/// <param name="Name">A name for people and reports, unique in the catalogue.</param>
/// <param name="GroupSize">Threads of a group; groups have one dimension.</param>
/// <param name="MinGroups">Groups that are to fit on a multiprocessor at one time: it bounds the registers.</param>
/// <param name="Hot">Whether it is an inner loop of decoding or prefill, in which spilled registers would show.</param>
/// <param name="Target">The devices that it is for.</param>
internal sealed record KernelTraits(string Name, int GroupSize, int MinGroups, bool Hot, KernelTarget Target = KernelTarget.Portable);

/// <summary>A kernel entry point: what the catalogue lists. The kernel takes one blittable struct.</summary>
internal abstract class KernelEntry
{
    private static int _count;

    private protected KernelEntry(KernelTraits traits, MethodInfo method)
    {
        Traits = traits;
        Method = method;
        Id = Interlocked.Increment(ref _count) - 1;
    }

    /// <summary>How it is compiled and launched.</summary>
    public KernelTraits Traits { get; }

    /// <summary>The kernel's code.</summary>
    public MethodInfo Method { get; }

    /// <summary>The struct that it takes.</summary>
    public abstract Type ArgumentType { get; }

    /// <summary>A small number of its own, by which contexts find its launcher.</summary>
    public int Id { get; }
}

/// <inheritdoc/>
/// <typeparam name="TArgs">The struct that it takes.</typeparam>
internal sealed class KernelEntry<TArgs> : KernelEntry
    where TArgs : struct
{
    /// <summary>Describes a kernel.</summary>
    /// <param name="traits">How it is compiled and launched.</param>
    /// <param name="kernel">A static method.</param>
    public KernelEntry(KernelTraits traits, Action<TArgs> kernel)
        : base(traits, kernel.Method)
    {
    }

    /// <inheritdoc/>
    public override Type ArgumentType => typeof(TArgs);
}
