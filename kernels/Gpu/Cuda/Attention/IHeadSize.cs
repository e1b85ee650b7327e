namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>The size of a head.</summary>
internal interface IHeadSize
{
    /// <summary>Elements.</summary>
    static abstract int Elements { get; }

    /// <summary>Whether there is a second half of 64 elements.</summary>
    static abstract bool HasSecondHalf { get; }
}

/// <summary>64 elements.</summary>
internal readonly struct Heads64 : IHeadSize
{
    public static int Elements => 64;

    public static bool HasSecondHalf => false;
}

/// <summary>128 elements.</summary>
internal readonly struct Heads128 : IHeadSize
{
    public static int Elements => 128;

    public static bool HasSecondHalf => true;
}
