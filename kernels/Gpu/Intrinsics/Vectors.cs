using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Gpu.Intrinsics;

/// <summary>Four words that are loaded and stored as 16 bytes at once.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct U4
{
    public uint X;
    public uint Y;
    public uint Z;
    public uint W;
}

/// <summary>Two words that are loaded and stored as 8 bytes at once.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct U2
{
    public uint X;
    public uint Y;
}

/// <summary>Four numbers that are loaded and stored as 16 bytes at once.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct F4
{
    public float X;
    public float Y;
    public float Z;
    public float W;

    public static F4 Of(float x, float y, float z, float w)
    {
        F4 v;
        v.X = x;
        v.Y = y;
        v.Z = z;
        v.W = w;
        return v;
    }

    /// <summary>The same number four times.</summary>
    public static F4 All(float x) => Of(x, x, x, x);
}
