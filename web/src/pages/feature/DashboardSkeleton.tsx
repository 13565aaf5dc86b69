/**
 * The outline of a dashboard while it is on its way, in the dashboard's own sizes.
 */
import { Skeleton } from "@/components/Status.tsx";
import css from "./FeatureDashboard.module.css";

export function DashboardSkeleton() {
  return (
    <div className={css.dashboard}>
      <Skeleton lines={2} height={22} />
      <div className={css.columns}>
        <div className={css.column}>
          <div className="panel">
            <div className="panel-body">
              <Skeleton lines={9} height={17} />
            </div>
          </div>
          <div className="panel">
            <div className="panel-body">
              <Skeleton lines={16} height={20} />
            </div>
          </div>
        </div>
        <div className={css.column}>
          <div className="panel">
            <div className="panel-body">
              <Skeleton lines={6} />
            </div>
          </div>
        </div>
      </div>
    </div>
  );
}
