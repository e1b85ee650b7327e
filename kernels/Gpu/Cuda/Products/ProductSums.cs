using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Products;

/// <summary>Two pieces of sums, of 16 outputs by 8 rows each.</summary>
internal struct PieceSums
{
    public Sums Low;
    public Sums High;
}

/// <summary>A lane's sums of 32 outputs by 64 rows: of each 8 rows the low 16 and the high 16 outputs.</summary>
internal struct WarpSums
{
    public PieceSums R0;
    public PieceSums R1;
    public PieceSums R2;
    public PieceSums R3;
    public PieceSums R4;
    public PieceSums R5;
    public PieceSums R6;
    public PieceSums R7;
}

/// <summary>Additions of sums.</summary>
internal static class ProductSums
{
    public static Sums Add(Sums a, Sums b)
    {
        Sums sum;
        sum.X = Ptx.Add(a.X, b.X);
        sum.Y = Ptx.Add(a.Y, b.Y);
        sum.Z = Ptx.Add(a.Z, b.Z);
        sum.W = Ptx.Add(a.W, b.W);
        return sum;
    }

    public static WarpSums Add(WarpSums a, WarpSums b)
    {
        WarpSums sum;
        sum.R0 = Add(a.R0, b.R0);
        sum.R1 = Add(a.R1, b.R1);
        sum.R2 = Add(a.R2, b.R2);
        sum.R3 = Add(a.R3, b.R3);
        sum.R4 = Add(a.R4, b.R4);
        sum.R5 = Add(a.R5, b.R5);
        sum.R6 = Add(a.R6, b.R6);
        sum.R7 = Add(a.R7, b.R7);
        return sum;
    }

    private static PieceSums Add(PieceSums a, PieceSums b)
    {
        PieceSums sum;
        sum.Low = Add(a.Low, b.Low);
        sum.High = Add(a.High, b.High);
        return sum;
    }
}
