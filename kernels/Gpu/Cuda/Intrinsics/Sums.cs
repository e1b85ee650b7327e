namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <summary>
/// One lane's part of a 16x8 matrix of sums: with g = lane / 4 and t = lane % 4, X and Y are columns 2t and 2t + 1 of row g, Z and W the
/// same columns of row g + 8.
/// </summary>
internal struct Sums
{
    public float X;
    public float Y;
    public float Z;
    public float W;
}
